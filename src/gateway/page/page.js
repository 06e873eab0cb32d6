'use strict';
// Keeps the page as the server would draw it now. What comes is the server's own HTML, escaped there; scripts in it would
// not run, and the page's policy forbids them besides.

const RELOAD = 10_000; // as the page without scripts
const live = document.getElementById('live');
let stream;
let timer;

// Whether one is what the other was before.
function isSame(old, fresh) {
    const told = node => [node.nodeName, node.id, node.getAttribute?.('class')];
    const [before, after] = [told(old), told(fresh)];
    return before.every((word, at) => word === after[at]);
}

// Changes a node into what it is now by as little as possible: focus, selection and what is unfolded stay.
function morph(old, fresh) {
    if (old.nodeType !== Node.ELEMENT_NODE) {
        if (old.data !== fresh.data) old.data = fresh.data;
        return;
    }
    for (const { name, value } of [...fresh.attributes]) {
        if (old.getAttribute(name) !== value) old.setAttribute(name, value);
    }
    for (const { name } of [...old.attributes]) {
        const isUnfolded = name === 'open' && old.nodeName === 'DETAILS';
        if (!fresh.hasAttribute(name) && !isUnfolded) old.removeAttribute(name);
    }
    let next = old.firstChild;
    for (const child of [...fresh.childNodes]) {
        let match = next;
        while (match && !isSame(match, child)) match = match.nextSibling;
        if (!match) {
            old.insertBefore(child, next);
            continue;
        }
        while (next !== match) {
            const gone = next;
            next = next.nextSibling;
            gone.remove();
        }
        next = match.nextSibling;
        morph(match, child);
    }
    while (next) {
        const gone = next;
        next = next.nextSibling;
        gone.remove();
    }
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
