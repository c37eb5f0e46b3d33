// One snapshot: its line, and below it what it holds, how it differs, and the way back.

import { send } from '/static/access.js';
import { el, setAttribute, setText, setTime, sync } from '/static/dom.js';
import { bytes, count, moment } from '/static/format.js';
import { describe } from '/static/timeline.js';
import { visible } from '/static/usage.js';
import { compare, createParts, ID_DIGITS, showWayBack } from '/static/way_back.js';

const BUTTONS = {
  now: { label: 'Compare with now', busy: 'Comparing…', work: (node) => compare(node, 'live') },
  before: { label: 'Compare with the one before', busy: 'Comparing…', work: (node, page) => compare(node, page.before(node.snapshot).id) },
  protect: { label: ({ snapshot }) => (snapshot.is_protected ? 'Unprotect' : 'Protect'), busy: 'Writing…', work: protect },
};

// `page` is what the page knows and does: { mayDecide, onDecided, before(snapshot) }.
export function createSnapshot(snapshot, page) {
  const summary = el('summary', '', el('time', 'at'), el('span', 'source'), el('span', 'tags'), el('span', 'new'), el('span', 'sum'));
  const body = el('div', 'body', el('div', 'facts'), el('p', 'muted how'), ...createParts());
  const details = el('details', '', summary, body);
  const node = el('li', 'snapshot', details);
  node.dataset.snapshot = snapshot.id;
  Object.assign(node, { buttons: BUTTONS, point: { path: pathOf(snapshot), query: {}, wish: {} }, show: () => showBody(node, page) });
  details.addEventListener('toggle', () => details.open && showBody(node, page));
  return node;
}

export function updateSnapshot(node, snapshot, page) {
  node.snapshot = snapshot;
  setTime(node.querySelector('.at'), snapshot.started_at);
  setText(node.querySelector('.source'), visible(snapshot.source));
  setAttribute(node.querySelector('summary'), 'title', `${visible(snapshot.source)}\n${describe(snapshot)}`);
  setText(node.querySelector('.new'), snapshot.new_bytes ? `+${bytes(snapshot.new_bytes)}` : 'no change');
  setText(node.querySelector('.sum'), bytes(snapshot.bytes));
  sync(node.querySelector('.tags'), labelsOf(snapshot), ([text]) => text, ([text, kind]) => {
    const label = el('b', 'chip', text);
    label.dataset.kind = kind;
    return label;
  }, () => {});
  if (node.firstChild.open) showBody(node, page);
}

function labelsOf(snapshot) {
  const labels = [...new Set(snapshot.tags.map(visible))].map((tag) => [tag, 'tag']);
  if (snapshot.is_protected) labels.unshift(['protected', 'protected']);
  if (snapshot.unread) labels.unshift([`${count(snapshot.unread)} not read`, 'unread']);
  return labels;
}

function showBody(node, page) {
  const facts = factsOf(node.snapshot);
  sync(node.querySelector('.facts'), facts, ([label]) => label, ([label]) => el('span', '', `${label} `, el('b')), (fact, [, text, title]) => {
    setText(fact.lastChild, text);
    setAttribute(fact, 'title', title ?? null);
  });
  const how = node.querySelector('.how');
  how.hidden = page.mayDecide;
  if (!how.hidden && !how.firstChild) how.replaceChildren('How it differs from now is shown with the link above, and by ', el('code', '', `resile restore ${node.snapshot.id.slice(0, ID_DIGITS)} --in-place --dry-run`));
  showWayBack(node, page, ['now', ...(page.before(node.snapshot) ? ['before'] : []), 'protect']);
}

function factsOf(one) {
  return [
    ['id', one.id.slice(0, ID_DIGITS), one.id],
    ['taken', moment(one.started_at)],
    ['files', count(one.files)],
    ['folders', count(one.folders)],
    ['size', bytes(one.bytes)],
    ['new', bytes(one.new_bytes), 'No earlier snapshot of the store had it'],
    ['stored', bytes(one.stored_bytes), 'What that took in the store'],
    ['by', visible(`${one.user}@${one.host}`)],
  ];
}

function pathOf({ id }) {
  return `/api/store/snapshots/${id}`;
}

async function protect({ snapshot }) {
  await send(`${pathOf(snapshot)}/protect`, { is_on: !snapshot.is_protected });
}
