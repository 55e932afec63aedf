"""Drives paho-mqtt for a test: a command per line of JSON on standard input, an
event per line on standard output. One process is one client."""

import base64
import json
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

VERSIONS = {3: mqtt.MQTTv31, 4: mqtt.MQTTv311, 5: mqtt.MQTTv5}


def emit(event, **fields):
    sys.stdout.write(json.dumps({"event": event, **fields}) + "\n")
    sys.stdout.flush()


def number(code):
    return code if isinstance(code, int) else code.value


def pairs(properties):
    return [list(pair) for pair in getattr(properties, "UserProperty", [])]


def fill(properties, wanted):
    for name, value in wanted.items():
        if name == "UserProperty":
            for pair in value:
                properties.UserProperty = tuple(pair)
        elif name == "CorrelationData":
            properties.CorrelationData = value.encode()
        else:
            setattr(properties, name, value)
    return properties


class Driver:
    def __init__(self):
        self.client = None
        self.version = 5

    def properties(self, packet_type, wanted):
        if self.version != 5 or not wanted:
            return None
        return fill(Properties(packet_type), wanted)

    def connect(self, command):
        self.version = command["version"]
        is_v5 = self.version == 5
        clean = command.get("clean", True)
        self.client = client = mqtt.Client(
            mqtt.CallbackAPIVersion.VERSION2,
            client_id=command.get("client_id", ""),
            protocol=VERSIONS[self.version],
            clean_session=None if is_v5 else clean,
            reconnect_on_failure=False,
        )
        client.on_connect = self.on_connect
        client.on_disconnect = self.on_disconnect
        client.on_message = self.on_message
        client.on_subscribe = self.on_subscribe
        client.on_unsubscribe = self.on_unsubscribe
        client.on_publish = self.on_publish
        will = command.get("will")
        if will:
            delay = {"WillDelayInterval": will["delay"]} if "delay" in will else {}
            client.will_set(
                will["topic"],
                will["payload"],
                will.get("qos", 0),
                will.get("retain", False),
                properties=self.properties(PacketTypes.WILLMESSAGE, delay),
            )
        options = {}
        if is_v5:
            options["clean_start"] = clean
            options["properties"] = self.properties(
                PacketTypes.CONNECT, command.get("properties", {})
            )
        client.connect(
            "127.0.0.1", command["port"], keepalive=command.get("keepalive", 60), **options
        )
        client.loop_start()

    def subscribe(self, command):
        filter = command["filter"]
        if self.version == 5:
            options = SubscribeOptions(
                qos=command["qos"],
                noLocal=command.get("no_local", False),
                retainAsPublished=command.get("retain_as_published", False),
                retainHandling=command.get("retain_handling", 0),
            )
            properties = self.properties(PacketTypes.SUBSCRIBE, command.get("properties", {}))
            self.client.subscribe(filter, options=options, properties=properties)
        else:
            self.client.subscribe(filter, command["qos"])

    def unsubscribe(self, command):
        self.client.unsubscribe(command["filter"])

    def publish(self, command):
        payload = command.get("payload", "")
        if "repeat" in command:
            payload *= command["repeat"]
        self.client.publish(
            command["topic"],
            payload,
            command["qos"],
            command.get("retain", False),
            properties=self.properties(PacketTypes.PUBLISH, command.get("properties", {})),
        )

    def disconnect(self, command):
        self.client.disconnect()

    def on_connect(self, client, userdata, flags, code, properties):
        emit(
            "connected",
            present=flags.session_present,
            code=number(code),
            assigned=getattr(properties, "AssignedClientIdentifier", None),
        )

    def on_disconnect(self, client, userdata, flags, code, properties):
        emit("disconnected", code=number(code), by_server=flags.is_disconnect_packet_from_server)

    def on_subscribe(self, client, userdata, mid, codes, properties):
        emit("subscribed", codes=[number(code) for code in codes])

    def on_unsubscribe(self, client, userdata, mid, codes, properties):
        emit("unsubscribed", codes=[number(code) for code in codes])

    def on_publish(self, client, userdata, mid, code, properties):
        emit("published", code=number(code), user=pairs(properties))

    def on_message(self, client, userdata, message):
        properties = message.properties
        data = getattr(properties, "CorrelationData", None)
        emit(
            "message",
            topic=message.topic,
            payload_b64=base64.b64encode(message.payload).decode(),
            qos=message.qos,
            retain=bool(message.retain),
            user=pairs(properties),
            response_topic=getattr(properties, "ResponseTopic", None),
            correlation=data.decode() if data is not None else None,
            content_type=getattr(properties, "ContentType", None),
            expiry=getattr(properties, "MessageExpiryInterval", None),
            identifiers=getattr(properties, "SubscriptionIdentifier", []),
        )


def main():
    driver = Driver()
    for line in sys.stdin:
        command = json.loads(line)
        getattr(driver, command["do"])(command)


main()
