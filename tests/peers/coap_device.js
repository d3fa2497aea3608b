// A CoAP device by npm's coap. /value can be observed, /plain only be asked, /big takes several blocks, /tagged has an
// ETag, /missing is not there. Commands: {"set": value}, {"count": n} (tells 1 to n), {"quiet": true}, {"asked": path}
// (how often it was asked, and how many of these knew the answer).
const coap = require('coap')
const readline = require('readline')

let value = 0
let quiet = false
const observers = new Set()
const asked = {}
const json = (value) => Buffer.from(JSON.stringify(value))

function answer (path, req, res) {
  res.setOption('Content-Format', 'application/json')
  if (path === '/value' && req.headers.Observe === 0) {
    res.write(json(value))
    observers.add(res)
    res.on('finish', () => observers.delete(res))
  } else if (path === '/value' || path === '/plain') {
    res.setOption('Max-Age', 1)
    res.end(json(value))
  } else if (path === '/big') {
    res.end(json({ device_id: 'd', measurements: Array.from({ length: 200 }, (_, i) => ({ name: 'm' + i, value: i })) }))
  } else if (path === '/tagged') {
    const tag = Buffer.from('t' + value)
    res.setOption('ETag', [tag])
    if (req.options.some((o) => o.name === 'ETag' && String(o.value) === String(tag))) {
      asked[path].known++
      res.code = '2.03'
      res.end()
    } else res.end(json(value))
  } else {
    res.code = res.statusCode = '4.04'
    res.end('no such sensor')
  }
}

const server = coap.createServer((req, res) => {
  const path = req.url.split('?')[0]
  asked[path] = asked[path] || { times: 0, known: 0 }
  asked[path].times++
  answer(path, req, res)
})

function tell (next) {
  value = next
  if (!quiet) for (const each of observers) each.write(json(value))
}

function count (from, to) {
  tell(from)
  if (from < to) setTimeout(count, 1, from + 1, to)
  else console.log('true')
}

readline.createInterface({ input: process.stdin }).on('line', (line) => {
  const [[command, argument]] = Object.entries(JSON.parse(line))
  let said = true
  if (command === 'set') tell(argument)
  else if (command === 'count') return count(1, argument)
  else if (command === 'quiet') quiet = argument
  else if (command === 'asked') said = asked[argument] || { times: 0, known: 0 }
  console.log(JSON.stringify(said))
})
server.listen(Number(process.env.PORT), '127.0.0.1', () => console.log('ready'))
