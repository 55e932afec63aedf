// Drives mqtt.js for a test: a command per line of JSON on standard input, an
// event per line on standard output. One process is one client.

'use strict'

const readline = require('node:readline')
const mqtt = require('mqtt')

let client
let version

// PUBACK packets by identifier: the callback of a publish does not tell them.
const acknowledged = new Map()

function emit (event, fields) {
  process.stdout.write(JSON.stringify({ event, ...fields }) + '\n')
}

// mqtt.js keeps user properties as an object; a value is a list where a name
// came several times.
function pairs (properties) {
  const user = properties?.userProperties ?? {}
  return Object.entries(user).flatMap(([name, value]) =>
    Array.isArray(value) ? value.map(one => [name, one]) : [[name, value]])
}

// The tests name properties as the specification does, mqtt.js begins them small.
function named (wanted) {
  const properties = {}
  for (const [name, value] of Object.entries(wanted ?? {})) {
    if (name === 'UserProperty') {
      properties.userProperties = {}
      for (const [key, text] of value) {
        const before = properties.userProperties[key]
        properties.userProperties[key] = before === undefined ? text : [before, text].flat()
      }
    } else if (name === 'CorrelationData') {
      properties.correlationData = Buffer.from(value)
    } else {
      properties[name[0].toLowerCase() + name.slice(1)] = value
    }
  }
  return properties
}

const commands = {
  connect (command) {
    version = command.version
    const options = {
      protocolVersion: version,
      protocolId: version === 3 ? 'MQIsdp' : 'MQTT',
      clientId: command.client_id ?? '',
      clean: command.clean ?? true,
      keepalive: command.keepalive ?? 60,
      reconnectPeriod: 0,
      resubscribe: false,
      autoUseTopicAlias: command.use_alias ?? false
    }
    if (version === 5) options.properties = named(command.properties)
    if (command.will) {
      options.will = { ...command.will, qos: command.will.qos ?? 0 }
      if (command.will.delay !== undefined) {
        options.will.properties = { willDelayInterval: command.will.delay }
      }
    }
    client = mqtt.connect(`mqtt://127.0.0.1:${command.port}`, options)
    client.on('connect', packet => emit('connected', {
      present: packet.sessionPresent,
      code: packet.reasonCode ?? packet.returnCode,
      assigned: packet.properties?.assignedClientIdentifier ?? null
    }))
    client.on('packetreceive', packet => {
      if (packet.cmd === 'puback') acknowledged.set(packet.messageId, packet)
    })
    let told = null
    client.on('disconnect', packet => { told = packet.reasonCode })
    client.on('close', () => emit('disconnected', { code: told ?? 0, by_server: told !== null }))
    client.on('error', error => emit('error', { text: String(error), code: error.code ?? null }))
    client.on('message', (topic, payload, packet) => {
      const ids = packet.properties?.subscriptionIdentifier
      emit('message', {
        topic,
        payload_b64: payload.toString('base64'),
        qos: packet.qos,
        retain: packet.retain,
        user: pairs(packet.properties),
        response_topic: packet.properties?.responseTopic ?? null,
        correlation: packet.properties?.correlationData?.toString() ?? null,
        content_type: packet.properties?.contentType ?? null,
        expiry: packet.properties?.messageExpiryInterval ?? null,
        identifiers: ids === undefined ? [] : [ids].flat()
      })
    })
  },

  subscribe (command) {
    const options = { qos: command.qos }
    if (version === 5) {
      options.nl = command.no_local ?? false
      options.rap = command.retain_as_published ?? false
      options.rh = command.retain_handling ?? 0
      options.properties = named(command.properties)
    }
    client.subscribe(command.filter, options, (error, granted, packet) => {
      emit('subscribed', { codes: packet?.granted ?? [error?.code ?? 128] })
    })
  },

  unsubscribe (command) {
    client.unsubscribe(command.filter, {}, (_, packet) => {
      emit('unsubscribed', { codes: [packet?.granted ?? []].flat() })
    })
  },

  publish (command) {
    const options = { qos: command.qos, retain: command.retain ?? false }
    if (version === 5) options.properties = named(command.properties)
    const payload = (command.payload ?? '').repeat(command.repeat ?? 1)
    client.publish(command.topic, payload, options, (error, packet) => {
      const answer = acknowledged.get(packet?.messageId)
      emit('published', {
        code: error?.code ?? answer?.reasonCode ?? 0,
        user: pairs(answer?.properties)
      })
    })
  },

  disconnect () {
    client.end()
  }
}

readline.createInterface({ input: process.stdin })
  .on('line', line => {
    const command = JSON.parse(line)
    commands[command.do](command)
  })
  .on('close', () => process.exit(0))
