// What a person switched off, and an emergency stop: a banner under the top line of every page, above all else.

import { el, mark, setAttribute, setText, setTime, sync } from '/static/dom.js';
import { plural, span } from '/static/format.js';
import { ask } from '/static/live.js';
import { visible } from '/static/usage.js';

const POLL_MS = 2000;

const list = Object.assign(el('ul', 'switched'), { hidden: true });

// The stop first; what it froze is told with it.
function noticesOf({ emergency, switches }) {
  const offs = emergency ? switches.filter((off) => off.until) : switches;
  return [
    ...(emergency ? [{ key: 'emergency', ...stopped(emergency) }] : []),
    ...(offs.length ? [{ key: 'off', ...switchedOff(offs) }] : []),
  ];
}

function stopped({ at, who, why, is_stopping_services: isStopping, is_carried_out: isDone, killed, undone, problems }) {
  const done = isDone ? `${plural(killed, 'contained run')} killed, ${plural(undone, 'fault')} on purpose taken back.` : 'Contained runs are being killed, and faults on purpose taken back.';
  return {
    state: 'DOWN',
    title: `Emergency Stop by ${visible(who || 'somebody')}: ${visible(why)}`,
    lines: [`No remedy begins, no run, no fault on purpose. Services ${isStopping ? 'are stopped' : 'go on'}. ${done}`, ...problems.map((problem) => `Not done: ${visible(problem)}`)],
    since: at,
    command: `resile enable recovery chaos; resile resume${isStopping ? '; resile start' : ''}`,
    what: 'To end it: ',
  };
}

function switchedOff(offs) {
  return {
    state: 'MAINTENANCE',
    title: `Switched Off: ${offs.map((off) => visible(off.word)).join(', ')}`,
    lines: offs.map((off) => {
      const left = off.until ? ` for ${span(Math.max(0, (Date.parse(off.until) - Date.now()) / 1000))}` : '';
      return `${visible(off.word)}${left}, by ${visible(off.who || 'somebody')}: ${visible(off.why)}`;
    }),
    since: null,
    command: `resile enable ${offs.map((off) => visible(off.word)).join(' ')}`,
    what: 'To switch it on: ',
  };
}

async function refresh() {
  try {
    const notices = noticesOf(await ask('/api/switches'));
    sync(list, notices, (notice) => notice.key, create, update);
    list.hidden = !notices.length;
    delete list.dataset.stale;
  } catch {
    list.dataset.stale = '';
  }
}

function create() {
  const ends = el('p', 'ask muted', el('span', 'what'), el('code'));
  return el('li', 'card notice', mark('DOWN'), el('div', 'says', el('p', 'title', el('span', 'name'), ' ', el('time', 'ago')), el('ul', 'lines'), ends));
}

function update(node, notice) {
  setAttribute(node, 'data-state', notice.state);
  setAttribute(node.querySelector('use'), 'href', `#s-${notice.state}`);
  setText(node.querySelector('.name'), notice.title);
  setTime(node.querySelector('time'), notice.since);
  sync(node.querySelector('.lines'), notice.lines, (line) => line, () => el('li', 'told'), setText);
  setText(node.querySelector('.what'), notice.what);
  setText(node.querySelector('code'), notice.command);
}

list.setAttribute('aria-label', 'Switched off');
list.setAttribute('aria-live', 'polite');
document.querySelector('.top').after(list);
refresh();
setInterval(refresh, POLL_MS);
