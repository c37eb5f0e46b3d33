// What a run would change: each path with its lines, and a tick for those that are to be committed.

import { el } from '/static/dom.js';
import { bytes, plural } from '/static/format.js';
import { visible } from '/static/usage.js';

export const MARKS = { created: '+', deleted: '−', modified: '~', metadata: 'm', replaced: '!' };
const LINES_MAX = 1000;
const OPEN_AT_ONCE = 5;

export function renderDiff(box, diff, onChoice) {
  const parts = diff.workspaces.map((workspace) => createWorkspace(workspace, isChoosable(diff) ? onChoice : null));
  if (!diff.workspaces.some(({ changes }) => changes.length)) parts.push(el('p', 'muted', 'It changed nothing.'));
  if (diff.is_cut) parts.push(el('p', 'muted', 'There is more than fits here. All of it: ', el('code', '', `resile diff ${diff.id}`)));
  box.replaceChildren(...parts);
}

// Paths are told to the daemon as they are shown, so each must name one thing.
function isChoosable(diff) {
  const [first, second] = diff.workspaces.filter(({ changes }) => changes.length);
  return first && !second && !diff.is_cut && first.changes.length > 1 && first.changes.every(({ path }) => !path.includes('\ufffd'));
}

// None means all.
export function chosenPaths(box) {
  const ticks = [...box.querySelectorAll('input[type=checkbox]')];
  const chosen = ticks.filter((tick) => tick.checked).map((tick) => tick.path);
  return { isAll: chosen.length === ticks.length, paths: chosen, of: ticks.length };
}

function createWorkspace({ workspace, changes }, onChoice) {
  const list = el('ul', 'changes', ...changes.map((change, index) => createChange(change, index, onChoice)));
  return el('section', '', el('h4', '', visible(workspace), el('span', 'muted', plural(changes.length, 'change'))), list);
}

function createChange(change, index, onChoice) {
  const summary = el('summary', '', el('b', 'sign', MARKS[change.kind] ?? '?'), el('span', 'path', visible(change.path)), el('span', 'size', sizeOf(change)));
  summary.title = change.kind;
  const details = el('details', '', summary);
  const hasLines = change.diff && (change.file_type === 'file' || change.diff.includes('\n@@'));
  if (hasLines) details.append(createLines(change.diff));
  else summary.classList.add('flat');
  details.open = index < OPEN_AT_ONCE && Boolean(hasLines);
  const node = el('li', '', details);
  node.dataset.kind = change.kind;
  if (onChoice) node.prepend(createTick(change, onChoice));
  return node;
}

function createTick(change, onChoice) {
  const tick = Object.assign(el('input'), { type: 'checkbox', checked: true, path: change.path });
  tick.setAttribute('aria-label', `Commit ${visible(change.path)}`);
  tick.addEventListener('change', onChoice);
  return tick;
}

function sizeOf(change) {
  const parts = [change.file_type === 'file' ? '' : change.file_type];
  if (change.link_target) parts.push(`→ ${visible(change.link_target)}`);
  if (typeof change.size_after === 'number') parts.push(bytes(change.size_after));
  if (change.file_type !== 'link' && change.mode_before !== change.mode_after && typeof change.mode_after === 'number') parts.push(`mode ${change.mode_after.toString(8)}`);
  return [...parts, ...change.notes.map(visible)].filter(Boolean).join(' · ');
}

export function createLines(text) {
  const lines = text.replace(/\n$/, '').split('\n');
  const shown = lines.slice(0, LINES_MAX).map((line, index) => el('span', classOf(line, index), visible(line) || ' '));
  if (lines.length > LINES_MAX) shown.push(el('span', 'hunk', `${plural(lines.length - LINES_MAX, 'line')} more`));
  const block = el('pre', 'diff', ...shown);
  block.tabIndex = 0;
  return block;
}

// Only the first two lines name the file; later ones that look so are content.
function classOf(line, index) {
  if (index < 2 && /^(---|\+\+\+) /.test(line)) return 'file';
  return { '+': 'add', '-': 'del', '@': 'hunk' }[line[0]] ?? '';
}
