//! History for clients that know nothing of it.

use robustmq_e2e::Broker;

use crate::driver::Library;
use crate::login::{Login, VERSIONS};

/// The range stands in the filter, so any client can ask for it.
pub(crate) fn any_client_replays(library: Library) {
    let broker = Broker::start(&[]);
    let mut driver = library.drive(&broker);
    for version in VERSIONS {
        let (publisher, reader) = (format!("publisher-{version}"), format!("reader-{version}"));
        let topic = format!("history/{version}");
        driver.connect(&publisher, &Login::clean(version, &publisher));
        for number in 0..3 {
            driver.publish(&publisher, &topic, &number.to_string());
        }
        driver.connect(&reader, &Login::clean(version, &reader));
        driver.subscribe(&reader, &format!("$replay/earliest/{topic}"));
        for number in 0..3 {
            assert_eq!(driver.message(&reader).text(), number.to_string());
        }
        driver.publish(&publisher, &topic, "live");
        assert_eq!(driver.message(&reader).text(), "live");
    }
}
