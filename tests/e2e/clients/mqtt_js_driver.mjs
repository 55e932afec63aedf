// Drives clients of the library mqtt.js as it is told: one JSON command a line
// on standard input, one JSON event a line on standard output. The language is
// described in paho_driver.py. `manual_ack` is not for this library.

import { readFileSync } from 'node:fs'
import { createRequire } from 'node:module'
import { createInterface } from 'node:readline'

// Other than `import`, `require` looks into NODE_PATH.
const mqtt = createRequire(import.meta.url)('mqtt')

const clients = new Map()

function emit(event, client, fields) {
  process.stdout.write(JSON.stringify({ event, client, ...fields }) + '\n')
}

const camel = (name) => name.replace(/_(.)/g, (_, letter) => letter.toUpperCase())
const snake = (name) => name.replace(/[A-Z]/g, (letter) => '_' + letter.toLowerCase())

// Named values as the library's properties; undefined where there are none.
function toLibrary(given) {
  if (given === undefined) return undefined
  const properties = {}
  for (const [name, value] of Object.entries(given)) {
    if (name === 'user_property') {
      properties.userProperties = {}
      for (const [key, text] of value) {
        const values = properties.userProperties[key] ?? []
        properties.userProperties[key] = [...values, text]
      }
    } else if (name === 'correlation_data') {
      properties.correlationData = Buffer.from(value, 'latin1')
    } else if (name === 'payload_format_indicator') {
      properties.payloadFormatIndicator = value === 1
    } else {
      properties[camel(name)] = value
    }
  }
  return properties
}

// The library's properties as named values.
function fromLibrary(properties) {
  const named = {}
  for (const [name, value] of Object.entries(properties ?? {})) {
    if (name === 'userProperties') {
      named.user_property = Object.entries(value).flatMap(([key, texts]) =>
        [texts].flat().map((text) => [key, text]),
      )
    } else if (name === 'correlationData') {
      named.correlation_data = value.toString('latin1')
    } else if (name === 'subscriptionIdentifier') {
      named.subscription_identifier = [value].flat()
    } else {
      named[snake(name.replace('QoS', 'Qos'))] = typeof value === 'boolean' ? Number(value) : value
    }
  }
  return named
}

function willOf(given) {
  if (given === undefined) return undefined
  return {
    topic: given.topic,
    payload: Buffer.from(given.payload, 'latin1'),
    qos: given.qos ?? 0,
    retain: given.retain ?? false,
    properties: toLibrary(given.properties),
  }
}

// Reports acknowledgements of publishes with what the library leaves out of
// its callback: reason and properties (of the PUBREC at QoS 2).
class Acknowledgements {
  received = []
  pubrecs = new Map()

  note(packet) {
    const { cmd, messageId, reasonCode = 0, properties } = packet
    const answer = { reason: reasonCode, properties: fromLibrary(properties) }
    if (cmd === 'pubrec' && reasonCode < 0x80) {
      this.pubrecs.set(messageId, answer)
    } else if (cmd === 'pubcomp') {
      this.received.push(this.pubrecs.get(messageId) ?? answer)
      this.pubrecs.delete(messageId)
    } else if (cmd === 'puback' || cmd === 'pubrec') {
      this.received.push(answer)
    }
  }

  next() {
    return this.received.shift() ?? { reason: 0, properties: {} }
  }
}

function connect(name, command) {
  const secure = ['tls', 'wss'].includes(command.transport)
  const client = mqtt.connect({
    protocol: { tls: 'mqtts', ws: 'ws', wss: 'wss' }[command.transport] ?? 'mqtt',
    path: '/mqtt',
    ca: secure ? readFileSync(command.ca) : undefined,
    host: '127.0.0.1',
    port: command.port,
    protocolVersion: command.version,
    protocolId: command.version === 3 ? 'MQIsdp' : 'MQTT',
    clientId: command.client_id,
    clean: command.clean,
    keepalive: command.keep_alive,
    properties: toLibrary(command.properties),
    will: willOf(command.will),
    // A test says itself when a client comes back.
    reconnectPeriod: 0,
    connectTimeout: 60_000,
  })
  const state = {
    client,
    acknowledgements: new Acknowledgements(),
    leaving: false,
    // The library itself minds no limit, not even the broker's.
    inflightMax: command.inflight_max ?? Infinity,
  }
  clients.set(name, state)
  let farewell
  client.on('connect', (packet) =>
    emit('connected', name, {
      session_present: packet.sessionPresent,
      reason: packet.reasonCode ?? packet.returnCode,
      properties: fromLibrary(packet.properties),
    }),
  )
  client.on('packetreceive', (packet) => state.acknowledgements.note(packet))
  client.on('message', (topic, payload, packet) =>
    emit('message', name, {
      topic,
      wire_topic: packet.topic,
      payload: payload.toString('latin1'),
      qos: packet.qos,
      retain: packet.retain,
      dup: packet.dup,
      mid: packet.messageId ?? 0,
      properties: fromLibrary(packet.properties),
    }),
  )
  client.on('disconnect', (packet) => {
    farewell = packet
  })
  client.on('error', (error) => {
    // A lost connection is reported by `close`.
    if (typeof error.code === 'number' && !client.connected) {
      emit('refused', name, { reason: error.code })
    } else {
      process.stderr.write(`${name}: ${error.stack}\n`)
    }
  })
  client.on('close', () => {
    if (state.leaving) {
      emit('left', name)
    } else {
      emit('disconnected', name, {
        by_server: farewell !== undefined,
        reason: farewell?.reasonCode ?? 0,
        properties: fromLibrary(farewell?.properties),
      })
    }
  })
}

function subscribe(name, command) {
  const filters = {}
  for (const given of command.filters) {
    filters[given.filter] = {
      qos: given.qos,
      nl: given.no_local ?? false,
      rap: given.retain_as_published ?? false,
      rh: given.retain_handling ?? 0,
    }
  }
  const properties = toLibrary(command.properties)
  clients.get(name).client.subscribe(filters, { properties }, (error, _granted, packet) => {
    const answer = packet ?? error?.packet
    if (answer === undefined) {
      emit('failed', name, { text: String(error) })
    } else {
      emit('subscribed', name, {
        reasons: answer.granted,
        properties: fromLibrary(answer.properties),
      })
    }
  })
}

function unsubscribe(name, command) {
  clients.get(name).client.unsubscribe(command.filters, (error, packet) => {
    if (error) {
      emit('failed', name, { text: String(error) })
    } else {
      emit('unsubscribed', name, {
        reasons: packet.granted ?? [],
        properties: fromLibrary(packet.properties),
      })
    }
  })
}

function send(name, topic, payload, options, then = () => {}) {
  const { client, acknowledgements } = clients.get(name)
  client.publish(topic, payload, options, (error) => {
    if (error && typeof error.code !== 'number') {
      emit('failed', name, { text: String(error) })
    } else {
      const none = { reason: 0, properties: {} }
      emit('published', name, options.qos === 0 ? none : acknowledgements.next())
      then()
    }
  })
}

function publish(name, command) {
  const { topic, qos, retain = false } = command
  const properties = toLibrary(command.properties)
  send(name, topic, Buffer.from(command.payload, 'latin1'), { qos, retain, properties })
}

function publishMany(name, { topic, count, qos }) {
  let number = 0
  const next = () => {
    if (number < count) send(name, topic, String(number++), { qos }, next)
  }
  const { inflightMax } = clients.get(name)
  for (let slot = 0; slot < Math.min(inflightMax, count); slot++) next()
}

function disconnect(name, command) {
  const state = clients.get(name)
  state.leaving = true
  state.client.end(false, { reasonCode: command.reason ?? 0 })
}

const commands = {
  connect,
  subscribe,
  unsubscribe,
  publish,
  publish_many: publishMany,
  disconnect,
}

const input = createInterface({ input: process.stdin })
input.on('line', (text) => {
  const order = JSON.parse(text)
  try {
    commands[order.do](order.client, order)
  } catch (error) {
    // Whatever it is, the test must see it.
    emit('failed', order.client, { text: String(error) })
  }
})
input.on('close', () => process.exit(0))
