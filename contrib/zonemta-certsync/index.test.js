'use strict';

const assert = require('assert');
const { execFileSync } = require('child_process');
const fs = require('fs');
const os = require('os');
const path = require('path');
const { test, before, after } = require('node:test');
const tls = require('tls');
const plugin = require('./index');

let folder;
const pairs = {};

before(() => {
    folder = fs.mkdtempSync(path.join(os.tmpdir(), 'zonemta-certsync-'));
    for (const [name, kind] of [
        ['first', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
        ['second', ['ec', '-pkeyopt', 'ec_paramgen_curve:P-256']],
        ['rsa', ['rsa:2048']]
    ]) {
        const files = { key: path.join(folder, `${name}.key`), cert: path.join(folder, `${name}.pem`) };
        execFileSync('openssl', ['req', '-x509', '-nodes', '-days', '2', '-subj', `/CN=${name}`, '-newkey', ...kind, '-keyout', files.key, '-out', files.cert], {
            stdio: 'ignore'
        });
        pairs[name] = { key: fs.readFileSync(files.key), cert: fs.readFileSync(files.cert) };
    }
});

after(() => fs.rmSync(folder, { recursive: true }));

// A ZoneMTA interface as far as the plugin sees it, with its files in a folder of their own.
async function stage(t, write = {}) {
    const own = fs.mkdtempSync(path.join(folder, 'stage-'));
    const files = { key: path.join(own, 'tls_key.pem'), cert: path.join(own, 'tls_cert.pem') };
    put(files, pairs.first);
    const seen = { contexts: [], errors: [] };
    const iface = {
        name: 'feeder',
        options: { ...files, ...write },
        server: {
            updateSecureContext(pair) {
                tls.createSecureContext(pair);
                seen.contexts.push(pair);
            }
        }
    };
    let hook;
    const logger = { info() {}, error: (...words) => seen.errors.push(words.join(' ')) };
    await plugin.init({ addHook: (name, action) => name === 'smtp:init' && (hook = action), logger });
    await hook(iface);
    return { files, seen };
}

function put(files, pair) {
    for (const name of ['key', 'cert']) {
        fs.writeFileSync(`${files[name]}.new`, pair[name]);
        fs.renameSync(`${files[name]}.new`, files[name]);
    }
}

async function until(claim) {
    for (let waited = 0; !claim(); waited += 20) {
        assert.ok(waited < 10000, 'not within ten seconds');
        await new Promise(resolve => setTimeout(resolve, 20));
    }
}

test('a new pair is handed to the running server', async t => {
    const { files, seen } = await stage(t);
    put(files, pairs.second);
    await until(() => seen.contexts.length === 1);
    assert.deepStrictEqual(seen.contexts[0], pairs.second);
});

test('an RSA pair may follow an EC pair', async t => {
    const { files, seen } = await stage(t);
    put(files, pairs.rsa);
    await until(() => seen.contexts.length === 1);
    put(files, pairs.second);
    await until(() => seen.contexts.length === 2);
    assert.deepStrictEqual(seen.errors, []);
});

for (const [name, pair] of [
    ['a key of the same kind that belongs to another', () => ({ key: pairs.first.key, cert: pairs.second.cert })],
    ['an EC key with an RSA certificate, which Node does not notice', () => ({ key: pairs.second.key, cert: pairs.rsa.cert })],
    ['half a certificate', () => ({ key: pairs.second.key, cert: pairs.second.cert.subarray(0, 300) })],
    ['an empty key', () => ({ key: Buffer.alloc(0), cert: pairs.second.cert })]
]) {
    test(`${name} is refused, told once, and the next good pair is taken`, async t => {
        const { files, seen } = await stage(t);
        put(files, pair());
        await until(() => seen.errors.length === 1);
        fs.utimesSync(files.cert, new Date(), new Date());
        put(files, pairs.rsa);
        await until(() => seen.contexts.length === 1);
        assert.deepStrictEqual(seen.contexts[0], pairs.rsa);
        assert.strictEqual(seen.errors.length, 1);
        assert.doesNotMatch(seen.errors[0], /BEGIN/);
    });
}

test('files that are touched and not changed lead to nothing', async t => {
    const { files, seen } = await stage(t);
    put(files, pairs.first);
    fs.writeFileSync(path.join(path.dirname(files.key), 'neighbour'), 'x');
    put(files, pairs.second);
    await until(() => seen.contexts.length === 1);
    assert.deepStrictEqual(seen.contexts[0], pairs.second);
});

test('an interface without files, or with the text itself, is left alone', async t => {
    const { files, seen } = await stage(t, { key: pairs.first.key.toString(), cert: pairs.first.cert.toString() });
    const bare = await stage(t, { key: undefined, cert: undefined });
    const control = await stage(t);
    for (const each of [files, bare.files, control.files]) {
        put(each, pairs.second);
    }
    await until(() => control.seen.contexts.length === 1);
    assert.deepStrictEqual([seen.contexts, bare.seen.contexts], [[], []]);
});
