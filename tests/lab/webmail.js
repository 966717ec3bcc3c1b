'use strict';

// A web application of what WildDuck's webmail is made of, in its order: the icon is served before the session, and
// each page asks for a token against forgery, which makes a session in Redis. The webmail itself is on no registry.

const express = require('express');
const favicon = require('serve-favicon');
const cookies = require('cookie-parser');
const session = require('express-session');
const Store = require('connect-redis')(session);
const csrf = require('csurf');
const Redis = require('ioredis');

const icon = Buffer.from('AAABAAEAAQEAAAEAIAAwAAAAFgAAAA==', 'base64');
const app = express();
app.use(favicon(icon));
app.use(cookies());
app.use(
    session({
        name: 'webmail',
        store: new Store({ client: new Redis(6379, '127.0.0.1') }),
        secret: 'of a test',
        saveUninitialized: false,
        resave: false
    })
);
app.get('/account/login', csrf({ cookie: false }), (req, res) => res.send(req.csrfToken()));
app.listen(3000);
