// One snapshot: its line, and below it what it holds, how it differs, and the way back.

import { send } from '/static/access.js';
import { el, setAttribute, setText, setTime, sync } from '/static/dom.js';
import { bytes, count, duration, moment, plural } from '/static/format.js';
import { choiceIn, isLive, renderStoreDiff, warningOf } from '/static/store_diff.js';
import { describe } from '/static/timeline.js';
import { visible } from '/static/usage.js';

const SURE_MS = 4000;
const RESTORE_MS_MAX = 3600e3;
export const ID_DIGITS = 10;

// `page` is what the page knows and does: { mayDecide, onDecided, before(snapshot) }.
export function createSnapshot(snapshot, page) {
  const summary = el('summary', '', el('time', 'at'), el('span', 'source'), el('span', 'tags'), el('span', 'new'), el('span', 'sum'));
  const body = el('div', 'body', el('div', 'facts'), el('p', 'muted how'), el('div', 'actions asks'), el('p', 'failed'), el('p', 'restored'), el('div', 'changed'), el('div', 'actions wishes'));
  const details = el('details', '', summary, body);
  const node = el('li', 'snapshot', details);
  node.dataset.snapshot = snapshot.id;
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
  for (const name of ['.failed', '.restored']) node.querySelector(name).hidden = !node.querySelector(name).textContent;
  showActions(node, page);
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

// Decisions -----------------------------------------------------------------------------------

function showActions(node, page) {
  const asks = page.mayDecide ? ['now', ...(page.before(node.snapshot) ? ['before'] : []), 'protect'] : [];
  showButtons(node, '.asks', asks, page);
  const { diff } = node;
  const hasWish = page.mayDecide && diff && isLive(diff) && Object.keys(diff.counts).length;
  const choice = choiceIn(node.querySelector('.changed'));
  showButtons(node, '.wishes', hasWish ? [...(choice.of ? ['these'] : []), 'all'] : [], page);
}

function showButtons(node, place, names, page) {
  sync(node.querySelector(place), names, (name) => name, (name) => createButton(name, node, page), (button, name) => {
    setText(button, node.busy === name ? BUTTONS[name].busy : labelOf(name, button, node));
    button.disabled = Boolean(node.busy) || (name === 'these' && !isPossible(node));
  });
}

function isPossible(node) {
  const { paths, isTooMany } = choiceIn(node.querySelector('.changed'));
  return paths.length > 0 && !isTooMany;
}

function labelOf(name, button, node) {
  if (button.isSure) return warningOf(node.diff);
  if (name === 'protect') return node.snapshot.is_protected ? 'Unprotect' : 'Protect';
  if (name !== 'these') return BUTTONS[name].label;
  const { paths, of, isTooMany } = choiceIn(node.querySelector('.changed'));
  return isTooMany ? 'At most 500 at once' : `Restore these ${count(paths.length)} of ${count(of)}`;
}

const BUTTONS = {
  now: { label: 'Compare with now', busy: 'Comparing…', work: (node) => compare(node, 'live') },
  before: { label: 'Compare with the one before', busy: 'Comparing…', work: (node, page) => compare(node, page.before(node.snapshot).id) },
  protect: { busy: 'Writing…', work: protect },
  these: { busy: 'Restoring…', style: 'commit', work: (node) => restore(node, choiceIn(node.querySelector('.changed')).paths) },
  all: { label: 'Restore all as it was', busy: 'Restoring…', style: 'discard', isAsked: true, work: (node) => restore(node, []) },
};

function createButton(name, node, page) {
  const button = Object.assign(el('button', BUTTONS[name].style ?? name), { type: 'button' });
  button.addEventListener('click', () => {
    if (BUTTONS[name].isAsked && !button.isSure) {
      button.isSure = true;
      setTimeout(() => {
        button.isSure = false;
        showActions(node, page);
      }, SURE_MS);
      showActions(node, page);
    } else carryOut(name, node, page);
  });
  return button;
}

async function carryOut(name, node, page) {
  const failed = node.querySelector('.failed');
  node.busy = name;
  failed.textContent = node.querySelector('.restored').textContent = '';
  showBody(node, page);
  try {
    await BUTTONS[name].work(node, page);
  } catch (error) {
    failed.replaceChildren(`${visible(error.message)} `, el('span', 'muted', visible(error.hint ?? '')));
  }
  node.busy = '';
  showBody(node, page);
  page.onDecided();
}

async function compare(node, against) {
  node.diff = null;
  node.querySelector('.changed').replaceChildren();
  node.diff = await send(`/api/store/snapshots/${node.snapshot.id}/diff?against=${against}`);
  renderStoreDiff(node.querySelector('.changed'), node.diff, () => showButtonsAgain(node));
}

function showButtonsAgain(node) {
  for (const button of node.querySelectorAll('.wishes button.commit')) {
    setText(button, labelOf('these', button, node));
    button.disabled = Boolean(node.busy) || !isPossible(node);
  }
}

async function protect(node) {
  await send(`/api/store/snapshots/${node.snapshot.id}/protect`, { is_on: !node.snapshot.is_protected });
}

async function restore(node, paths) {
  const done = await send(`/api/store/snapshots/${node.snapshot.id}/restore`, { who: 'dashboard', paths }, RESTORE_MS_MAX);
  node.diff = null;
  node.querySelector('.changed').replaceChildren();
  const before = done.before ? [' What was there before is kept: ', el('code', '', done.before.slice(0, ID_DIGITS))] : [];
  const skipped = done.skipped_count ? [el('span', 'muted', ` ${plural(done.skipped_count, 'path')} without all that it carried, the first: ${visible(done.skipped[0]?.path)}, ${visible(done.skipped[0]?.reason)}`)] : [];
  node.querySelector('.restored').replaceChildren(`Restored ${plural(done.files, 'file')}, ${bytes(done.bytes)}, to ${visible(done.target)} in ${duration(done.duration_s)}.`, ...before, ...skipped);
}
