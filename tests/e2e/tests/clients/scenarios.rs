//! What every library must be able to do with the broker, in every version of
//! MQTT that it speaks.

pub(crate) mod delivery;
pub(crate) mod limits;
pub(crate) mod properties;
pub(crate) mod replay;
pub(crate) mod retained;
pub(crate) mod sessions;
pub(crate) mod topics;
pub(crate) mod wills;

/// One test for each of the scenarios, with a library.
macro_rules! tests_with {
    ($library:expr, $($subject:ident::{$($scenario:ident),+ $(,)?})+) => {
        $($(
            #[test]
            fn $scenario() {
                $crate::scenarios::$subject::$scenario($library);
            }
        )+)+
    };
}

/// All of them.
macro_rules! all_scenarios {
    ($library:expr) => {
        $crate::scenarios::tests_with! {
            $library,
            delivery::{
                every_qos_both_ways,
                large_payload_arrives_whole,
                ten_thousand_messages_arrive_in_order,
                puback_carries_the_offset,
                publish_without_subscribers_says_so,
            }
            limits::{
                broker_announces_its_limits,
                mqtt_3_1_2_25_a_packet_too_large_for_the_client_is_left_out,
                a_packet_too_large_for_the_broker_ends_the_connection,
                topic_aliases_both_ways,
                shutdown_says_goodbye,
            }
            properties::{
                properties_arrive_untouched,
                a_request_gets_its_response,
                subscription_identifiers_name_the_subscriptions,
                mqtt_3_2_2_16_a_client_without_identifier_is_given_one,
                messages_expire,
                unsubscribing_from_what_is_not_there_says_so,
            }
            replay::{
                any_client_replays,
            }
            retained::{
                retained_messages_come_on_subscribing_until_cleared,
                retained_messages_survive_a_kill,
                retain_handling_decides_whether_they_come,
                retain_as_published_keeps_the_flag,
            }
            sessions::{
                messages_wait_for_their_client,
                sessions_and_their_messages_survive_a_kill,
                mqtt_3_1_2_4_a_clean_start_discards_the_session,
                mqtt_3_1_2_23_a_session_ends_after_its_expiry,
                mqtt_3_1_4_3_a_second_client_takes_the_session_over,
            }
            topics::{
                wildcards_match_as_specified,
                mqtt_4_7_2_1_dollar_topics_are_not_for_clients,
                topics_and_payloads_in_any_script,
                mqtt_3_8_3_3_no_local_keeps_own_messages_away,
                unsubscribed_means_silent,
            }
            wills::{
                will_is_published_when_the_client_is_killed,
                mqtt_3_1_2_10_an_orderly_disconnect_discards_the_will,
                mqtt_3_1_2_22_a_silent_client_is_given_up,
                mqtt_3_1_3_9_a_will_waits_for_its_delay_and_for_the_client,
            }
        }
    };
}

pub(crate) use {all_scenarios, tests_with};
