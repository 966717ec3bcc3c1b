'use strict';

// Looks at a page with Chromium as people do who like it light or dark, on a desk or on a telephone, with and without
// script; prints what it saw as JSON. Arguments: the address, user, password, and a folder for pictures.

const fs = require('fs');
const path = require('path');
const { chromium } = require('playwright-core');

const [url, username, password, folder] = process.argv.slice(2);
const axe = fs.readFileSync(require.resolve('axe-core/axe.min.js'), 'utf8');
const views = [
    { name: 'light', colorScheme: 'light', viewport: { width: 1280, height: 900 } },
    { name: 'dark', colorScheme: 'dark', viewport: { width: 1280, height: 900 } },
    { name: 'light-360', colorScheme: 'light', viewport: { width: 360, height: 740 } },
    { name: 'dark-360', colorScheme: 'dark', viewport: { width: 360, height: 740 } }
];

async function look(browser, view) {
    const { name, ...options } = view;
    const context = await browser.newContext({ ...options, httpCredentials: { username, password } });
    const page = await context.newPage();
    const complaints = [];
    page.on('console', message => ['error', 'warning'].includes(message.type()) && complaints.push(message.text()));
    page.on('pageerror', error => complaints.push(String(error)));
    page.on('dialog', dialog => complaints.push(`dialog: ${dialog.message()}`) && dialog.dismiss());
    await page.addInitScript(() => {
        window.reports = [];
        document.addEventListener('securitypolicyviolation', event => window.reports.push(event.violatedDirective));
    });
    const answer = await page.goto(url, { waitUntil: 'load' });
    const first = await page.textContent('#main');
    // The script asks again by itself: it puts in a new <main>.
    await page.evaluate(() => (document.getElementById('main').dataset.old = 'yes'));
    await page.waitForSelector('#main:not([data-old])', { timeout: 20000 });
    await page.screenshot({ path: path.join(folder, `${name}.png`), fullPage: true });
    await page.evaluate(axe);
    const found = await page.evaluate(() => window.axe.run(document, { resultTypes: ['violations', 'incomplete'] }));
    const seen = {
        status: answer.status(),
        title: await page.title(),
        verdict: await page.textContent('h1'),
        text: first,
        scripts: await page.evaluate(() => document.scripts.length),
        width: await page.evaluate(() => document.documentElement.scrollWidth),
        violations: found.violations.map(({ id, nodes }) => `${id}: ${nodes.map(node => node.html).join(' | ')}`),
        // One letter is too short for axe to judge; the marks are for the eye alone, words stand beside them.
        doubtful: found.incomplete
            .filter(({ id }) => id === 'color-contrast')
            .flatMap(({ nodes }) => nodes.map(node => node.html))
            .filter(html => !html.includes('aria-hidden="true"')),
        wide: await page.evaluate(() =>
            [...document.querySelectorAll('body *')]
                .filter(element => element.getBoundingClientRect().right > window.innerWidth)
                .map(element => element.outerHTML.slice(0, 200))
        ),
        reports: await page.evaluate(() => window.reports),
        complaints
    };
    await context.close();
    return seen;
}

// Paused it asks for nothing, and going on it does; the words of the button follow.
async function pause(browser) {
    const context = await browser.newContext({ httpCredentials: { username, password } });
    const page = await context.newPage();
    await page.goto(url);
    await page.click('#pause');
    const pressed = await page.getAttribute('#pause', 'aria-pressed');
    await page.evaluate(() => (document.getElementById('main').dataset.old = 'yes'));
    const seconds = Number(await page.getAttribute('#main', 'data-seconds'));
    const asked = await page.waitForRequest(/fragment=1/, { timeout: Math.max(2, seconds) * 2500 }).then(() => true, () => false);
    await page.click('#pause');
    await page.waitForSelector('#main:not([data-old])', { timeout: 20000 });
    // Without an answer it says that what is shown is old.
    await context.setOffline(true);
    await page.waitForSelector('body.lost', { timeout: 20000 });
    const lost = await page.textContent('#lost');
    await context.setOffline(false);
    await page.waitForSelector('body:not(.lost)', { timeout: 20000 });
    await context.close();
    return { pressed, asked, lost };
}

async function withoutScript(browser) {
    const context = await browser.newContext({ javaScriptEnabled: false, httpCredentials: { username, password } });
    const page = await context.newPage();
    await page.goto(url);
    const seen = { text: await page.textContent('body'), controls: await page.isVisible('#controls') };
    await context.close();
    return seen;
}

async function withoutPassword(browser) {
    const context = await browser.newContext();
    const page = await context.newPage();
    const answer = await page.goto(url).catch(error => ({ status: () => String(error) }));
    const seen = { status: answer.status(), text: await page.textContent('body') };
    await context.close();
    return seen;
}

(async () => {
    const browser = await chromium.launch({
        executablePath: process.env.CHROMIUM || 'chromium',
        args: ['--no-sandbox', '--disable-gpu', '--disable-dev-shm-usage']
    });
    const seen = {};
    for (const view of views) seen[view.name] = await look(browser, view);
    seen.pause = await pause(browser);
    seen.withoutScript = await withoutScript(browser);
    seen.withoutPassword = await withoutPassword(browser);
    await browser.close();
    process.stdout.write(JSON.stringify(seen));
})().catch(error => {
    process.stderr.write(`${error.stack}\n`);
    process.exit(1);
});
