// The page of secrets: first everything once, then again whenever an event says so, and every few seconds.

import { signed } from '/static/access.js';
import { say, sayStale } from '/static/banner.js';
import { byId, el, setText, setTime, showEmpty, sync, tickAll } from '/static/dom.js';
import { count, span } from '/static/format.js';
import { ask, together } from '/static/live.js';
import { keepFresh } from '/static/page.js';
import { createSecret, updateSecret } from '/static/secret.js';
import { holdersOf, isUnknown, nextOf, sorted, subOf, verdictOf } from '/static/secret_list.js';
import { renderStory } from '/static/secret_story.js';
import { visible } from '/static/usage.js';

const POLL_MS = 5000;
const POLL_BUSY_MS = 1000;
// Who reads a secret changes nothing that is shown.
const KINDS = /^(client|provider|rotation|secrets)\.|^secret\.(?!accessed)/;

let lastSeenAt = '';
let polledMs = 0;
let isBusy = false;

const page = { mayDecide: false, onDecided: () => refreshSoon() };

async function refresh() {
  try {
    polledMs = Date.now();
    const found = await ask('/api/secrets', signed());
    lastSeenAt = new Date().toISOString();
    page.mayDecide = found.may_decide;
    byId('access').hidden = page.mayDecide;
    delete document.body.dataset.stale;
    render(found);
    document.body.dataset.ready = '';
  } catch {
    sayStale(lastSeenAt);
  }
}

const refreshSoon = together(refresh, 100);

function render(found) {
  const { secrets, anomalies, rotations } = found;
  isBusy = secrets.some((secret) => secret.rotation);
  say(...verdictOf(found));
  setText(byId('sub'), subOf(found));
  showFigures(found);
  showTrouble(found.provider);
  byId('secrets').previousElementSibling.hidden = !secrets.length;
  if (secrets.length) sync(byId('secrets'), sorted(secrets), (secret) => secret.name, (secret) => createSecret(secret, page), (node, secret) => updateSecret(node, secret, page));
  else if (isUnknown(found.provider)) showEmpty(byId('secrets'), 'Nothing is known yet.');
  else showNone();
  byId('story').hidden = !(secrets.length + anomalies.length + rotations.length);
  renderStory(found, page);
}

function showFigures({ secrets, provider }) {
  const { current, of } = holdersOf(secrets);
  const next = nextOf(secrets);
  setText(byId('figure-secrets'), count(secrets.length));
  setText(byId('figure-current'), of ? `${count(current)} / ${count(of)}` : '–');
  if (next) setTime(byId('figure-next'), next, (iso, now) => `in ${span(Math.max(0, (Date.parse(iso) - now) / 1000))}`);
  else setText(byId('figure-next'), '–');
  setText(byId('figure-provider'), visible(provider.kind) || '–');
}

function showTrouble(provider) {
  const { kind, is_well: isWell, reason } = provider;
  byId('trouble').hidden = isWell;
  byId('trouble').classList.toggle('held', !isUnknown(provider));
  setText(byId('trouble'), isUnknown(provider) ? visible(reason) : `${visible(kind)} gives no secrets: ${visible(reason)}`);
}

function showNone() {
  const table = '[secret."db/password"]\nservices = ["app"]\nrotator = { kind = "random" }';
  byId('secrets').replaceChildren(el('li', 'empty', 'Write into resile.toml who gets a secret, and how it is rotated:', el('pre', '', table), 'Then give it a value:', el('br'), el('code', '', 'resile secrets put db/password')));
}

async function start() {
  await keepFresh({ refresh, refreshSoon, kinds: KINDS });
  setInterval(tickAndPoll, 1000);
}

// Consumers acknowledge without an event: what is soon over is looked at more often.
function tickAndPoll() {
  tickAll();
  if (Date.now() - polledMs >= (isBusy ? POLL_BUSY_MS : POLL_MS)) refreshSoon();
}

start();
