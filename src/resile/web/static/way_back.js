// Comparing with what was, and the way back to it: what differs, the buttons, and what came of them.

import { send } from '/static/access.js';
import { el, setText, sync } from '/static/dom.js';
import { bytes, count, duration, plural } from '/static/format.js';
import { choiceIn, isLive, renderStoreDiff, warningOf } from '/static/store_diff.js';
import { visible } from '/static/usage.js';

const SURE_MS = 4000;
const RESTORE_MS_MAX = 3600e3;
export const ID_DIGITS = 10;

const WISHES = {
  these: { busy: 'Restoring…', style: 'commit', label: theseLabel, work: (node) => restore(node, choiceIn(node.querySelector('.changed')).paths) },
  all: { label: 'Restore all as it was', busy: 'Restoring…', style: 'discard', isAsked: true, work: (node) => restore(node, []) },
};

// What a node needs for it. It has `point`, which is compared and restored: { path, query, wish }; `buttons` of its
// own; and `show`, which shows all of it again.
export function createParts() {
  return [el('div', 'actions asks'), el('p', 'failed'), el('p', 'restored'), el('p', 'muted basis'), el('div', 'changed'), el('div', 'actions wishes')];
}

export function showWayBack(node, page, asks) {
  for (const name of ['.failed', '.restored', '.basis']) node.querySelector(name).hidden = !node.querySelector(name).textContent;
  showButtons(node, '.asks', page.mayDecide ? asks : [], page);
  const { diff } = node;
  const hasWish = page.mayDecide && diff && isLive(diff) && Object.keys(diff.counts).length;
  const choice = choiceIn(node.querySelector('.changed'));
  showButtons(node, '.wishes', hasWish ? [...(choice.of ? ['these'] : []), 'all'] : [], page);
}

export async function carryOut(name, node, page) {
  const failed = node.querySelector('.failed');
  node.busy = name;
  failed.textContent = node.querySelector('.restored').textContent = '';
  node.show();
  try {
    await kindOf(name, node).work(node, page);
  } catch (error) {
    failed.replaceChildren(`${visible(error.message)} `, el('span', 'muted', visible(error.hint ?? '')));
  }
  node.busy = '';
  node.show();
  page.onDecided();
}

export async function compare(node, against) {
  forget(node);
  const { path, query } = node.point;
  const ask = (more) => send(`${path}/diff?${new URLSearchParams({ ...query, ...more })}`);
  node.diff = await ask({ against });
  renderStoreDiff(node.querySelector('.changed'), node.diff, () => showChoice(node), ask);
}

// What is shown is of another point now.
export function forget(node) {
  node.diff = null;
  node.querySelector('.changed').replaceChildren();
}

async function restore(node, paths) {
  const { path, wish } = node.point;
  const done = await send(`${path}/restore`, { ...wish, who: 'dashboard', paths }, RESTORE_MS_MAX);
  forget(node);
  const before = done.before ? [' What was there before is kept: ', el('code', '', done.before.slice(0, ID_DIGITS))] : [];
  const kept = done.kept ? [` ${plural(done.kept, 'path')} that its snapshots leave out stayed as ${done.kept === 1 ? 'it was' : 'they were'}.`] : [];
  const skipped = done.skipped_count ? [el('span', 'muted', ` ${plural(done.skipped_count, 'path')} without all that it carried, the first: ${visible(done.skipped[0]?.path)}, ${visible(done.skipped[0]?.reason)}`)] : [];
  const unknown = done.not_noted ? [el('span', 'muted', ` Its log does not know it: ${visible(done.not_noted)}`)] : [];
  node.querySelector('.restored').replaceChildren(`Restored ${plural(done.files, 'file')}, ${bytes(done.bytes)}, to ${visible(done.target)} in ${duration(done.duration_s)}.`, ...before, ...kept, ...skipped, ...unknown);
}

// Buttons -------------------------------------------------------------------------------------

const kindOf = (name, node) => WISHES[name] ?? node.buttons[name];

function showButtons(node, place, names, page) {
  sync(node.querySelector(place), names, (name) => name, (name) => createButton(name, node, page), (button, name) => {
    setText(button, node.busy === name ? kindOf(name, node).busy : labelOf(name, button, node));
    button.disabled = Boolean(node.busy) || (name === 'these' && !isPossible(node));
  });
}

function showChoice(node) {
  for (const button of node.querySelectorAll('.wishes button.commit')) {
    setText(button, labelOf('these', button, node));
    button.disabled = Boolean(node.busy) || !isPossible(node);
  }
}

function isPossible(node) {
  const { paths, isTooMany } = choiceIn(node.querySelector('.changed'));
  return paths.length > 0 && !isTooMany;
}

function labelOf(name, button, node) {
  if (button.isSure) return warningOf(node.diff);
  const { label } = kindOf(name, node);
  return typeof label === 'function' ? label(node) : label;
}

function theseLabel(node) {
  const { paths, of, isTooMany } = choiceIn(node.querySelector('.changed'));
  return isTooMany ? 'At most 500 at once' : `Restore these ${count(paths.length)} of ${count(of)}`;
}

function createButton(name, node, page) {
  const { style, isAsked } = kindOf(name, node);
  const button = Object.assign(el('button', style ?? name), { type: 'button' });
  button.addEventListener('click', () => {
    if (isAsked && !button.isSure) {
      button.isSure = true;
      setTimeout(() => {
        button.isSure = false;
        node.show();
      }, SURE_MS);
      node.show();
    } else carryOut(name, node, page);
  });
  return button;
}
