'use strict';

// ZoneMTA reads the key and certificate of an interface once, when the receiver starts. This plugin reads them again
// whenever they change and hands them to the running server: the next handshake has the new pair, nothing is restarted.

const crypto = require('crypto');
const fs = require('fs');
const path = require('path');

// Two files cannot be replaced in one instant: wait until both have been.
const SETTLE_MS = 200;
// Where the kernel tells of no changes (network file systems, shared folders of virtual machines).
const POLL_MS = 30 * 1000;

module.exports.title = 'certsync';

module.exports.init = async app => {
    app.addHook('smtp:init', async iface => {
        const { key, cert } = iface.options;
        if (isPath(key) && isPath(cert)) {
            watch(iface, { key, cert }, app.logger);
        }
    });
};

// The configuration may hold the PEM text itself; ZoneMTA tells the two apart by a line break, and so do we.
function isPath(value) {
    return typeof value === 'string' && value.length > 0 && !value.includes('\n');
}

function watch(iface, files, log) {
    let served = digestOf(files);
    let refused = '';
    let timer = null;

    const reload = () => {
        const found = digestOf(files);
        if (found === served || found === refused || found === '') {
            return;
        }
        try {
            const pair = readPair(files);
            iface.server.updateSecureContext(pair);
            served = found;
            log.info('certsync', '%s serves %s', iface.name, describe(pair.cert));
        } catch (err) {
            refused = found;
            // Messages of OpenSSL name what is wrong and never quote the key.
            log.error('certsync', '%s keeps the certificate it has: %s', iface.name, err.message);
        }
    };

    const soon = () => {
        clearTimeout(timer);
        timer = setTimeout(reload, SETTLE_MS);
        timer.unref();
    };

    // The directory, not the file: a file that is replaced takes its watch along.
    for (const folder of new Set(Object.values(files).map(file => path.dirname(file)))) {
        try {
            fs.watch(folder, { persistent: false }, soon).on('error', err => log.error('certsync', '%s: %s', folder, err.message));
        } catch (err) {
            log.error('certsync', '%s is not watched, only polled: %s', folder, err.message);
        }
    }
    setInterval(reload, POLL_MS).unref();
}

// Empty when a file cannot be read, as between the removal and the return of one.
function digestOf(files) {
    const hash = crypto.createHash('sha256');
    try {
        hash.update(fs.readFileSync(files.key)).update(fs.readFileSync(files.cert));
    } catch {
        return '';
    }
    return hash.digest('hex');
}

function readPair(files) {
    const key = fs.readFileSync(files.key);
    const cert = fs.readFileSync(files.cert);
    // tls.createSecureContext takes an RSA certificate with an EC key without a word, and then every handshake fails.
    if (!new crypto.X509Certificate(cert).checkPrivateKey(crypto.createPrivateKey(key))) {
        throw new Error('key and certificate do not belong together');
    }
    return { key, cert };
}

function describe(cert) {
    const leaf = new crypto.X509Certificate(cert);
    return `serial ${leaf.serialNumber}, valid until ${leaf.validTo}`;
}
