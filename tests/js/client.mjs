// mqtt.js as a program: orders come as lines of JSON, and so does what happens.
//
// The first argument holds mqtt.js's own options, with `ca`, `cert` and `key` as paths. Orders are
// {"order": "publish" | "subscribe" | "unsubscribe" | "end", …}; each is answered by a line with its name. Binary
// data is base64: payloads in `payload`, correlation data in `correlationData`.
import { readFileSync } from 'node:fs'
import { createInterface } from 'node:readline'
import mqtt from 'mqtt'

const options = JSON.parse(process.argv[2])
for (const file of ['ca', 'cert', 'key']) {
  if (options[file]) options[file] = readFileSync(options[file])
}

const client = mqtt.connect(options.url, options)

client.on('connect', connack => say('connect', connack))
client.on('close', () => say('close'))
client.on('reconnect', () => say('reconnect'))
client.on('disconnect', packet => say('disconnect', packet))
client.on('error', error => say('error', { message: error.message, code: error.code }))
client.on('message', (topic, payload, { qos, retain, dup, properties }) => {
  say('message', { topic, payload: payload.toString('base64'), qos, retain, dup, properties })
})

for await (const line of createInterface({ input: process.stdin })) {
  const { order, topic, payload, force, properties, ...more } = JSON.parse(line)
  if (properties?.correlationData) {
    properties.correlationData = Buffer.from(properties.correlationData, 'base64')
  }
  const asked = { ...more, ...(properties && { properties }) }
  switch (order) {
    case 'publish':
      client.publish(topic, Buffer.from(payload, 'base64'), asked, answer(order))
      break
    case 'subscribe':
      client.subscribe(topic, asked, (error, _, packet) => {
        const suback = packet ?? error?.packet
        say(order, { granted: suback?.granted, failed: suback ? undefined : error.message })
      })
      break
    case 'unsubscribe':
      client.unsubscribe(topic, asked, answer(order))
      break
    case 'end':
      // With `force` the connection is cut, without a DISCONNECT.
      client.end(force, asked, answer(order))
      break
  }
}
// Whoever gave the orders is gone.
process.exit(0)

function answer(order) {
  return error => say(order, error ? { failed: error.message, code: error.code } : {})
}

function say(event, what = {}) {
  const text = JSON.stringify({ event, ...what }, (name, value) =>
    name === 'correlationData' && value?.type === 'Buffer' ? Buffer.from(value.data).toString('base64') : value)
  process.stdout.write(`${text}\n`)
}
