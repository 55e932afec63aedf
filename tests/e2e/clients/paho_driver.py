"""Drives clients of the library paho-mqtt as it is told.

One JSON command a line comes in on standard input, one JSON event a line goes
out on standard output. mqtt_js_driver.mjs speaks the same language, so that a
test need not know which library it has before it:

  connect      client, port, version (3, 4, 5), client_id, clean, keep_alive,
               properties, will {topic, payload, qos, retain, properties},
               manual_ack, inflight_max, transport (tcp, tls, ws, wss),
               ca: the file with the certificate to trust
  subscribe    client, filters [{filter, qos, no_local, retain_as_published,
               retain_handling}], properties
  unsubscribe  client, filters [text]
  publish      client, topic, payload, qos, retain, properties
  publish_many client, topic, count, qos: the payloads are 0, 1, 2, ...
  ack          client, mid, qos: only after `manual_ack`
  disconnect   client, reason

  connected    client, session_present, reason, properties
  refused      client, reason
  subscribed   client, reasons, properties
  unsubscribed client, reasons, properties
  published    client, reason, properties: sent (QoS 0) or acknowledged
  message      client, topic, wire_topic, payload, qos, retain, dup, mid,
               properties
  disconnected client, by_server, reason, properties: not as told
  left         client: disconnected as told, and the broker has closed as well
  failed       client, text: the command could not be carried out

A payload is text whose characters are its bytes (Latin-1). The names of the
properties are the specification's in lower case with underscores.
"""

import json
import os
import re
import select
import socket
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

clients = {}
leaving = set()
output = threading.Lock()


def emit(event, name, **fields):
    line = json.dumps({"event": event, "client": name, **fields})
    with output:
        sys.stdout.write(line + "\n")
        sys.stdout.flush()


def to_library(packet_type, given):
    """Named values as the library's properties; None where there are none."""
    if not given:
        return None
    properties = Properties(packet_type)
    for name, value in given.items():
        pascal = "".join(part.capitalize() for part in name.split("_"))
        if name == "user_property":
            value = [tuple(pair) for pair in value]
        elif name == "correlation_data":
            value = value.encode("latin-1")
        setattr(properties, pascal, value)
    return properties


def from_library(properties):
    """The library's properties as named values."""
    named = {}
    for pascal, value in (properties.json() if properties else {}).items():
        if pascal == "CorrelationData":
            value = bytes.fromhex(value).decode("latin-1")
        words = re.sub("(?<=.)(?=[A-Z])", "_", pascal.replace("QoS", "Qos"))
        named[words.lower()] = value
    return named


def connect(name, command):
    version = command["version"]
    is_v5 = version == mqtt.MQTTv5
    clean = command["clean"]
    transport = command.get("transport", "tcp")
    client = mqtt.Client(
        mqtt.CallbackAPIVersion.VERSION2,
        client_id=command["client_id"],
        clean_session=None if is_v5 else clean,
        protocol=version,
        # A test says itself when a client comes back.
        reconnect_on_failure=False,
        manual_ack=command.get("manual_ack", False),
        transport="websockets" if transport.startswith("ws") else "tcp",
    )
    if transport.startswith("ws"):
        client.ws_set_options(path="/mqtt")
    if transport in ("tls", "wss"):
        client.tls_set(ca_certs=command["ca"])
    if "inflight_max" in command:
        client.max_inflight_messages_set(command["inflight_max"])
    will = command.get("will")
    if will:
        client.will_set(
            will["topic"],
            will["payload"].encode("latin-1"),
            will.get("qos", 0),
            will.get("retain", False),
            to_library(PacketTypes.WILLMESSAGE, will.get("properties")),
        )
    # The library leaves topic aliases to its user.
    aliases = {}

    def on_connect(_client, _data, flags, reason, properties):
        if reason.is_failure:
            emit("refused", name, reason=reason.value)
        else:
            emit(
                "connected",
                name,
                session_present=flags.session_present,
                reason=reason.value,
                properties=from_library(properties),
            )

    def on_message(_client, _data, message):
        properties = from_library(message.properties) if is_v5 else {}
        topic = message.topic
        if "topic_alias" in properties:
            topic = topic or aliases[properties["topic_alias"]]
            aliases[properties["topic_alias"]] = topic
        emit(
            "message",
            name,
            topic=topic,
            wire_topic=message.topic,
            payload=message.payload.decode("latin-1"),
            qos=message.qos,
            retain=message.retain,
            dup=message.dup,
            mid=message.mid,
            properties=properties,
        )

    def on_answer(event):
        def handle(_client, _data, _mid, reasons, properties):
            values = [reason.value for reason in reasons]
            emit(event, name, reasons=values, properties=from_library(properties))

        return handle

    def on_publish(_client, _data, _mid, reason, properties):
        emit("published", name, reason=reason.value, properties=from_library(properties))

    def on_disconnect(_client, _data, flags, reason, properties):
        if _client in leaving:
            leaving.remove(_client)
        else:
            emit(
                "disconnected",
                name,
                by_server=flags.is_disconnect_packet_from_server,
                reason=reason.value,
                properties=from_library(properties),
            )

    client.on_connect = on_connect
    client.on_message = on_message
    client.on_subscribe = on_answer("subscribed")
    client.on_unsubscribe = on_answer("unsubscribed")
    client.on_publish = on_publish
    client.on_disconnect = on_disconnect
    clients[name] = client
    start = {"clean_start": clean} if is_v5 else {}
    properties = to_library(PacketTypes.CONNECT, command.get("properties"))
    client.connect(
        "127.0.0.1", command["port"], command["keep_alive"], properties=properties, **start
    )
    client.loop_start()


def options(given):
    return SubscribeOptions(
        qos=given["qos"],
        noLocal=given.get("no_local", False),
        retainAsPublished=given.get("retain_as_published", False),
        retainHandling=given.get("retain_handling", 0),
    )


def subscribe(name, command):
    client = clients[name]
    filters = command["filters"]
    if client.protocol == mqtt.MQTTv5:
        pairs = [(given["filter"], options(given)) for given in filters]
    else:
        pairs = [(given["filter"], given["qos"]) for given in filters]
    properties = to_library(PacketTypes.SUBSCRIBE, command.get("properties"))
    client.subscribe(pairs, properties=properties)


def unsubscribe(name, command):
    clients[name].unsubscribe(command["filters"])


def publish(name, command):
    clients[name].publish(
        command["topic"],
        command["payload"].encode("latin-1"),
        command["qos"],
        command.get("retain", False),
        to_library(PacketTypes.PUBLISH, command.get("properties")),
    )


def publish_many(name, command):
    for number in range(command["count"]):
        clients[name].publish(command["topic"], str(number), command["qos"])


def ack(name, command):
    clients[name].ack(command["mid"], command["qos"])


def disconnect(name, command):
    client = clients[name]
    leaving.add(client)
    # The library closes at once, but a test goes on when the broker has read
    # the DISCONNECT: a second handle keeps the connection open until then.
    connection = socket.socket(fileno=os.dup(client.socket().fileno()))
    if client.protocol == mqtt.MQTTv5:
        reason = ReasonCode(PacketTypes.DISCONNECT, identifier=command.get("reason", 0))
        client.disconnect(reason)
    else:
        client.disconnect()
    client.loop_stop()
    while select.select([connection], [], []) and connection.recv(4096):
        pass
    connection.close()
    emit("left", name)


COMMANDS = {
    "connect": connect,
    "subscribe": subscribe,
    "unsubscribe": unsubscribe,
    "publish": publish,
    "publish_many": publish_many,
    "ack": ack,
    "disconnect": disconnect,
}

for text in sys.stdin:
    order = json.loads(text)
    try:
        COMMANDS[order["do"]](order["client"], order)
    except Exception as error:  # whatever it is, the test must see it
        emit("failed", order["client"], text=repr(error))
