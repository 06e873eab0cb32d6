// Runs npm's http-cache-tests (https://cache-tests.fyi) against its origin alone, then through keyward without a cache
// and with `cache = "rfc9111"`, and prints how many of each kind pass and which required ones do not.
//
//   node measure.mjs PACKAGE KEYWARD [TEST]    the package's folder, keyward's binary; `just cache-tests` has both
//
// A prefix changes `Location` and the like, which some tests take amiss: all is run at a name of the device's own too.
// A write empties what is remembered of a device, and each test begins with one: a hundred run at a time, so each of
// them has a device of its own, all of which are the one origin.

import { spawn } from 'node:child_process'
import { mkdtempSync, rmSync, writeFileSync } from 'node:fs'
import { Agent } from 'node:http'
import { tmpdir } from 'node:os'
import { join, resolve } from 'node:path'
import { pathToFileURL } from 'node:url'

const [packageDir, keyward] = process.argv.slice(2).map(path => resolve(path))
const only = process.argv[4] // the id of one test, which is then told in full
const [ORIGIN, DOOR, AT_A_TIME] = [8471, 8472, 100]
const base = { alone: `http://127.0.0.1:${ORIGIN}`, keyward: `http://127.0.0.1:${DOOR}` }
process.chdir(packageDir)
const load = path => import(pathToFileURL(join(packageDir, path)))
const work = mkdtempSync(join(tmpdir(), 'cache-tests-'))
const children = []
// For names below localhost, which not every system knows.
const agent = new Agent({
  lookup: (_, options, done) =>
    options.all ? done(null, [{ address: '127.0.0.1', family: 4 }]) : done(null, '127.0.0.1', 4)
})

function start (command, args, env = {}) {
  const child = spawn(command, args, { stdio: ['ignore', 'ignore', 'inherit'], env: { ...process.env, ...env } })
  children.push(child)
  return child
}

async function answers (url) {
  for (let left = 200; left > 0; left--) {
    try { return await fetch(url) } catch { await new Promise(resolve => setTimeout(resolve, 100)) }
  }
  throw new Error(`nobody answers at ${url}`)
}

async function withKeyward (cache, run) {
  const devices = Array.from({ length: AT_A_TIME }, (_, nth) =>
    `[devices.t${nth}]\nvendor = "open"\nurl = "${base.alone}"\nacts_on_get = []\nhosts = ["t${nth}.localhost"]\n${cache}`)
  const file = join(work, 'proxy.toml')
  writeFileSync(file, `listen = "127.0.0.1:${DOOR}"\nstate = "${work}/state"\ncerts = "${work}/certs"\n` +
    `[limits]\nconnections = 1024\n[log]\nlevel = "error"\n${devices.join('')}`)
  const child = start(keyward, ['run', '--config', file])
  try {
    await answers(`${base.keyward}/healthz`)
    return await run()
  } finally {
    child.kill()
    await new Promise(resolve => child.once('exit', resolve))
  }
}

async function main () {
  const tests = (await load('tests/index.mjs')).default
  tests.push((await load('tests/surrogate-control.mjs')).default)
  const { makeCacheTest, testResults } = await load('client/test.mjs')
  const config = await load('client/config.mjs')
  const { determineTestResult } = await load('lib/display.mjs')
  const nodeFetch = (await load('node_modules/node-fetch/lib/index.mjs').catch(() => load('../node-fetch/lib/index.mjs'))).default
  const wanted = tests.flatMap(suite => suite.tests).filter(test => !test.browser_only)
  const pristine = JSON.stringify(wanted.map(test => test.requests))

  // Each test has a device for as long as its chunk runs; its requests are told apart by the id in their path.
  async function run (at) {
    for (const id of Object.keys(testResults)) delete testResults[id]
    JSON.parse(pristine).forEach((requests, nth) => { wanted[nth].requests = requests })
    config.setBaseUrl('')
    const chosen = wanted.filter(test => !only || test.id === only).map(test => ({ ...test, dump: !!only }))
    for (let first = 0; first < chosen.length; first += AT_A_TIME) {
      const places = new Map()
      config.setFetch((path, init) => {
        const id = path.split(/[/?]/)[2]
        if (!places.has(id)) places.set(id, places.size)
        return nodeFetch(at(places.get(id)) + path, { ...init, agent })
      })
      await Promise.all(chosen.slice(first, first + AT_A_TIME).map(makeCacheTest))
    }
    return structuredClone(testResults)
  }

  start(process.execPath, ['server/server.mjs'], {
    npm_config_protocol: 'http', npm_config_port: `${ORIGIN}`, npm_config_pidfile: join(work, 'pid')
  })
  await answers(base.alone)
  const prefix = nth => `${base.keyward}/t${nth}`
  const ownName = nth => `http://t${nth}.localhost:${DOOR}`
  const results = {}
  if (!only) {
    results['origin alone'] = await run(() => base.alone)
    await withKeyward('', async () => {
      results['without cache'] = await run(prefix)
      results['without cache, at a name of its own'] = await run(ownName)
    })
  }
  await withKeyward('cache = "rfc9111"\n', async () => {
    results.rfc9111 = await run(prefix)
    if (!only) results['rfc9111, at a name of its own'] = await run(ownName)
  })
  if (only) return console.log(results.rfc9111)

  const kindOf = test => test.kind ?? 'required'
  const passes = (result, test) => ['✅', 'Y'].includes(determineTestResult(tests, test.id, result)[2])
  const count = (result, kind, is) => wanted.filter(test => kindOf(test) === kind && is(result, test)).length
  const total = kind => wanted.filter(test => kindOf(test) === kind).length
  console.log('(with those that pass although what they depend on does not in brackets)')
  for (const [name, result] of Object.entries(results)) {
    const kinds = ['required', 'optimal', 'check'].map(kind =>
      `${kind} ${count(result, kind, passes)} (${count(result, kind, (result, test) => result[test.id] === true)}) of ${total(kind)}`)
    console.log(`${name}: ${kinds.join(', ')}`)
  }
  const told = (name, test) => `${test.id}: ${results[name][test.id] === true ? 'its dependencies fail' : results[name][test.id].join(': ')}`
  const required = wanted.filter(test => kindOf(test) === 'required')
  for (const name of ['without cache', 'without cache, at a name of its own']) {
    const worse = required.filter(test => results['origin alone'][test.id] === true && results[name][test.id] !== true)
    console.log(`\nrequired, ${name} worse than the origin alone: ${worse.length}`)
    worse.forEach(test => console.log(`  ${told(name, test)}`))
  }
  for (const kind of ['required', 'optimal']) {
    const failing = wanted.filter(test => kindOf(test) === kind && !passes(results.rfc9111, test))
    console.log(`\n${kind}, failing with rfc9111: ${failing.length}`)
    failing.forEach(test => console.log(`  ${told('rfc9111', test)}`))
  }
}

try {
  await main()
} finally {
  children.forEach(child => child.kill())
  rmSync(work, { recursive: true, force: true })
}
