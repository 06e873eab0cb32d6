'use strict';
// Keeps the page as the server would draw it now. What comes is the server's own HTML, escaped there; scripts in it would
// not run, and the page's policy forbids them besides.

const RELOAD = 10_000; // as the page without scripts
const live = document.getElementById('live');
let stream;
let timer;

// Changes an element into another by as little as possible: focus, selection and what is unfolded stay.
function morph(old, fresh) {
    if (old.nodeType !== fresh.nodeType || old.nodeName !== fresh.nodeName || old.id !== fresh.id) {
        old.replaceWith(fresh);
        return;
    }
    if (old.nodeType !== Node.ELEMENT_NODE) {
        if (old.data !== fresh.data) old.data = fresh.data;
        return;
    }
    for (const { name, value } of [...fresh.attributes]) {
        if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
        const unfolded = name === 'open' && old.nodeName === 'DETAILS';
        if (!fresh.hasAttribute(name) && !unfolded) old.removeAttribute(name);
    }
    const [before, after] = [[...old.childNodes], [...fresh.childNodes]];
    after.forEach((child, at) => at < before.length ? morph(before[at], child) : old.append(child));
    before.slice(after.length).forEach(child => child.remove());
}

function show(id, html) {
    const fresh = new DOMParser().parseFromString(html, 'text/html').getElementById(id);
    const old = document.getElementById(id);
    if (old && fresh) morph(old, document.importNode(fresh, true));
    document.title = document.getElementById('summary').dataset.title;
}

function say(state, words) {
    live.dataset.state = state;
    if (live.textContent !== words) live.textContent = words;
}

// Where no stream is to be had the page is asked for as a whole, now and then.
async function reload() {
    try {
        const answer = await fetch(document.baseURI, { cache: 'no-store' });
        if (!answer.ok) throw new Error(answer.status);
        const html = await answer.text();
        for (const id of ['summary', 'notices', 'devices']) show(id, html);
        say('slow', 'Up to date');
    } catch {
        say('lost', 'keyward does not answer');
    }
    listen();
}

function listen() {
    clearTimeout(timer);
    stream?.close();
    if (document.hidden) return;
    stream = new EventSource('-/live');
    stream.onmessage = ({ data }) => {
        for (const [id, html] of JSON.parse(data)) show(id, html);
        say('live', 'Live');
    };
    stream.onerror = () => {
        if (stream.readyState === EventSource.CLOSED) {
            timer = setTimeout(reload, RELOAD);
        } else {
            say('lost', 'Connecting …');
        }
    };
}

// A page that nobody looks at holds no connection.
document.addEventListener('visibilitychange', listen);
listen();
