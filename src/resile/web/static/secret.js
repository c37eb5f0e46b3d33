// One secret: its line, who gets it, who holds which version, its rotation, and the hand on it.

import { send } from '/static/access.js';
import { createBox, createButton, createSelect, createWhy, isAsking, openForm, showBox } from '/static/asked.js';
import { el, mark, setAttribute, setMark, setText, setTime, sync } from '/static/dom.js';
import { ago, duration, plural, span } from '/static/format.js';
import { createRotation, updateRotation } from '/static/rotation.js';
import { isBehind, isOverdue, lookOf } from '/static/secret_list.js';
import { visible } from '/static/usage.js';

const HOLDERS_SHOWN = 12;
const WAYS = { api: 'by the API', env: 'as a variable', file: 'as a file' };
const REASONS = [['manual', 'It is due, or to be sure'], ['compromise', 'Somebody else has it']];

export function createSecret(secret, page) {
  const next = el('p', 'next', el('time'), el('span', 'label', ' next rotation'));
  const row = el('div', 'row', mark('UNKNOWN'), el('h3', 'name'), el('p', 'word'), el('p', 'version'), el('p', 'age', el('time'), el('span', 'label', ' old')), next, el('div', 'actions buttons'));
  const holders = el('ul', 'holders');
  holders.setAttribute('aria-label', 'Who holds it');
  const node = el('li', 'secret', row, el('div', 'facts'), holders, createRotation(), createBox());
  node.dataset.secret = secret.name;
  node.querySelector('.buttons').append(
    createButton('Rotate…', 'rotate', (button) => askToRotate(node, page, button)),
    createButton('Roll back…', 'rollback', (button) => askToRollBack(node, page, button)),
  );
  return node;
}

export function updateSecret(node, secret, page) {
  node.secret = secret;
  const [state, word] = lookOf(secret);
  setAttribute(node, 'data-state', state);
  setMark(node.querySelector('use'), state);
  setText(node.querySelector('.name'), visible(secret.name));
  setText(node.querySelector('.word'), word);
  setText(node.querySelector('.version'), secret.version ? `version ${visible(secret.version)}` : '–');
  setTime(node.querySelector('.age time'), secret.created_at, (iso, now) => ago(iso, now).replace(/ ago$/, ''));
  setTime(node.querySelector('.next time'), secret.next_rotation_at, nextText);
  setAttribute(node.querySelector('.next'), 'data-late', isOverdue(secret) ? '' : null);
  sync(node.querySelector('.facts'), factsOf(secret), ([label]) => label, ([label]) => el('span', '', `${label} `, el('b')), (fact, [, text]) => {
    setText(fact.lastChild, text);
    setAttribute(fact, 'title', text);
  });
  sync(node.querySelector('.holders'), holdersOf(secret), ({ key }) => key, () => el('li'), updateHolder);
  updateRotation(node.querySelector('.rotation'), secret.rotation);
  updateButtons(node, page);
}

function nextText(iso, now) {
  const seconds = (Date.parse(iso) - now) / 1000;
  if (seconds >= 0) return `in ${span(seconds)}`;
  return seconds > -60 ? 'now' : `${span(-seconds)} late`;
}

function factsOf({ services, deliver, rotator, is_canary: isCanary }) {
  if (isCanary) return [['nobody', 'needs it: whoever reads it is cut off']];
  const whom = services.length ? `${services.map(visible).join(', ')} ${WAYS[deliver] ?? visible(deliver)}` : 'no service';
  return [['given to', whom], ['rotated by', visible(rotator) || 'nobody']];
}

// Those that are behind come first; whoever else has no place is counted.
function holdersOf(secret) {
  const rank = (holder) => (isBehind(secret, holder) ? 0 : holder.is_live ? 1 : 2);
  const all = secret.holders.map((holder, index) => ({ ...holder, key: `${index} ${holder.label}`, isBehind: isBehind(secret, holder) })).sort((a, b) => rank(a) - rank(b));
  const rest = all.length - HOLDERS_SHOWN;
  return rest > 0 ? [...all.slice(0, HOLDERS_SHOWN), { key: 'rest', rest }] : all;
}

function updateHolder(node, holder) {
  const state = holder.isBehind ? 'DEGRADED' : holder.is_live ? 'UP' : 'STOPPED';
  setAttribute(node, 'data-state', holder.rest ? null : state);
  setText(node, holder.rest ? `and ${plural(holder.rest, 'process').replace('processs', 'processes')} more` : `${visible(holder.label)} · ${heldText(holder)}`);
}

function heldText({ version, isBehind: behind, is_live: isLive }) {
  if (behind) return `still version ${visible(version)}`;
  return isLive ? `version ${visible(version)}` : `silent, had version ${visible(version)}`;
}

// Decisions -----------------------------------------------------------------------------------

function updateButtons(node, page) {
  const { rotator, can_roll_back: canRollBack, is_canary: isCanary } = node.secret;
  const box = node.querySelector('.steering');
  for (const button of node.querySelectorAll('.buttons button')) {
    button.hidden = !page.mayDecide || isCanary || (button.className === 'rotate' ? !rotator : !canRollBack);
    button.disabled = isAsking(box);
    setAttribute(button, 'aria-label', `${button.textContent.replace('…', '')}: ${visible(node.secret.name)}`);
  }
  showBox(box);
}

function ask(node, page, opener, form) {
  openForm(node.querySelector('.steering'), { ...form, show: () => updateButtons(node, page) }, opener);
}

function askToRotate(node, page, opener) {
  const name = visible(node.secret.name);
  const reason = createSelect(REASONS, `Why ${name} is rotated`);
  const why = createWhy('What happened? It stands in the journal', `What happened to ${name}`);
  const note = el('p', 'warning');
  note.setAttribute('aria-live', 'polite');
  const warn = () => {
    setText(note, warningOf(node.secret, reason.value));
    setAttribute(note, 'data-danger', reason.value === 'compromise' ? '' : null);
  };
  reason.addEventListener('change', warn);
  warn();
  ask(node, page, opener, {
    fields: [reason, why],
    note,
    label: 'Rotate it',
    style: 'commit',
    work: () => decide(node, page, 'rotate', { reason: reason.value, why: why.value }, rotatedText),
  });
}

function askToRollBack(node, page, opener) {
  const note = el('p', 'warning', `The value before version ${visible(node.secret.version)} is written as a new version, and all consumers take it. That works until it was retired.`);
  ask(node, page, opener, { fields: [], note, label: 'Roll it back', style: 'kill', work: () => decide(node, page, 'rollback', {}, ({ version }) => [`The value before is version ${visible(version)} now.`]) });
}

// What a rotation costs those that use the secret.
function warningOf({ holders, services, deliver }, reason) {
  const restarts = deliver === 'env' && services.length ? ` ${services.map(visible).join(', ')} get${services.length === 1 ? 's' : ''} it as a variable, and ${services.length === 1 ? 'is' : 'are'} restarted.` : '';
  if (reason !== 'compromise') return `Nobody is cut off: the old one dies when all that live have taken the new one.${restarts}`;
  const silent = holders.filter((holder) => !holder.is_live).map((holder) => visible(holder.label));
  const live = holders.filter((holder) => holder.is_live).map((holder) => visible(holder.label));
  const users = live.length ? ` Of ${some(live)}, whoever has not taken the new one by then is cut off.` : '';
  const lost = silent.length ? ` ${some(silent)} ${silent.length === 1 ? 'is' : 'are'} silent, and cut off.` : '';
  return `The old one dies at its deadline, whoever still uses it.${users}${lost}${restarts}`;
}

function some(labels) {
  const rest = labels.length - HOLDERS_SHOWN;
  return `${labels.slice(0, HOLDERS_SHOWN).join(', ')}${rest > 0 ? ` and ${rest} more` : ''}`;
}

async function decide(node, page, verb, wish, say) {
  try {
    return say(await send(`/api/secrets/${encodeURIComponent(node.secret.name)}/${verb}`, { who: 'dashboard', ...wish }));
  } finally {
    page.onDecided();
  }
}

function rotatedText({ outcome, number, duration_s: seconds, cut = [], waits_for: whom = [], why }) {
  const cutOff = cut.length ? `Cut off: ${some(cut.map(visible))}.` : '';
  if (!outcome) return [whom.length ? `It waits for ${some(whom.map(visible))}, and goes on by itself.` : 'It was begun, and goes on by itself.', visible(why)];
  if (outcome !== 'rotated') return ['', `It did not succeed; the current one is as it was. ${visible(why)}`];
  return [`Rotated in ${duration(seconds)}: version ${visible(number)} is current.`, cutOff];
}
