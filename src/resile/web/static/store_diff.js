// What it takes to come to a snapshot: each path with its lines when it is opened, ticks for what is to be restored.

import { createLines, MARKS } from '/static/diff.js';
import { el } from '/static/dom.js';
import { bytes, count, plural } from '/static/format.js';
import { visible } from '/static/usage.js';

const PATHS_MAX = 500;
const BACK = { created: 'made again', deleted: 'newer, and gone only if all is restored', modified: 'changed back', metadata: 'given other owners, modes or times', replaced: 'made what they were' };
const SINCE = { created: 'created', deleted: 'deleted', modified: 'modified', metadata: 'given other owners, modes or times', replaced: 'replaced' };

// `ask` gives the text of a path.
export function renderStoreDiff(box, diff, onChoice, ask) {
  const choosable = isLive(diff) && !diff.is_cut ? diff.changes.filter(isChoosable) : [];
  const rows = diff.changes.map((change) => createChange(diff, change, choosable.includes(change) && onChoice, choosable.length <= PATHS_MAX, ask));
  const parts = [el('p', 'muted', sumOf(diff))];
  if (rows.length) parts.push(el('ul', choosable.length ? 'changes ticked' : 'changes', ...rows));
  if (diff.left_out) parts.push(el('p', 'muted', `${plural(diff.left_out, 'path')} of the folder ${diff.left_out === 1 ? 'is' : 'are'} left out of its snapshots, and ${diff.left_out === 1 ? 'stays as it is' : 'stay as they are'}.`));
  if (diff.is_cut) parts.push(el('p', 'muted', `The first ${count(rows.length)} paths are shown. Only all of it can be restored here.`));
  box.replaceChildren(...parts);
}

export function isLive(diff) {
  return diff.against === 'live';
}

// A folder would bring all that is below it, ticked or not; what came since is not in the snapshot.
function isChoosable(change) {
  return change.kind !== 'deleted' && change.file_type !== 'folder' && !change.path.includes('\ufffd');
}

export function choiceIn(box) {
  const ticks = [...box.querySelectorAll('input[type=checkbox]')];
  const paths = ticks.filter((tick) => tick.checked).map((tick) => tick.path);
  return { paths, of: ticks.length, isTooMany: paths.length > PATHS_MAX };
}

function sumOf(diff) {
  const words = isLive(diff) ? BACK : SINCE;
  const parts = Object.entries(diff.counts).map(([kind, number]) => `${count(number)} ${words[kind] ?? kind}`);
  if (!parts.length) return isLive(diff) ? 'The folder is as it was then.' : 'Nothing differs.';
  return `${isLive(diff) ? 'Going back' : 'Since the one before'}: ${parts.join(' · ')}`;
}

function createChange(diff, change, onChoice, isTicked, ask) {
  const summary = el('summary', '', el('b', 'sign', MARKS[change.kind] ?? '?'), el('span', 'path', visible(change.path)), el('span', 'size', sizeOf(change)));
  summary.title = change.kind;
  const details = el('details', '', summary);
  const hasText = change.file_type === 'file' && change.kind !== 'metadata' && !change.path.includes('\ufffd');
  if (hasText) details.addEventListener('toggle', () => details.open && showText(details, ask, diff.against, change));
  else summary.classList.add('flat');
  const node = el('li', '', details);
  node.dataset.kind = change.kind;
  if (onChoice) node.prepend(createTick(change, onChoice, isTicked));
  return node;
}

function createTick(change, onChoice, isTicked) {
  const tick = Object.assign(el('input'), { type: 'checkbox', checked: isTicked, path: change.path });
  tick.setAttribute('aria-label', `Restore ${visible(change.path)}`);
  tick.addEventListener('change', onChoice);
  return tick;
}

function sizeOf({ file_type: type, size_before: before, size_after: after }) {
  if (type !== 'file') return type;
  const sizes = [before, after].filter((size) => typeof size === 'number').map(bytes);
  return [...new Set(sizes)].join(' → ');
}

async function showText(details, ask, against, { path }) {
  if (details.isAsked) return;
  details.isAsked = true;
  const place = el('p', 'muted text', 'Reading…');
  details.append(place);
  try {
    const { diff: text, is_cut: isCut } = await ask({ against, path });
    place.replaceWith(text ? createLines(text) : el('p', 'muted text', 'No text to compare.'));
    if (isCut) details.append(el('p', 'muted text', 'There is more than fits here.'));
  } catch (error) {
    place.replaceChildren(visible(error.message));
    details.isAsked = false;
    details.addEventListener('toggle', () => place.remove(), { once: true });
  }
}

export function warningOf(diff) {
  const gone = diff.counts.deleted ?? 0;
  return gone ? `Really? This removes ${plural(gone, 'newer path')}` : 'Really restore all?';
}
