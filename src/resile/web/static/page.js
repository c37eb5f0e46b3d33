// How the page of a part lives: everything once, then again whenever an event of its kinds says so.

import { takeToken } from '/static/access.js';
import { showConnection } from '/static/banner.js';
import { byId, setText } from '/static/dom.js';
import { ask, follow } from '/static/live.js';

export async function keepFresh({ refresh, refreshSoon, kinds }) {
  const connected = (isLive) => {
    showConnection(isLive);
    refreshSoon();
  };
  takeToken();
  addEventListener('hashchange', () => {
    takeToken();
    refreshSoon();
  });
  const status = await Promise.all([ask('/api/status'), refresh()]).then(([found]) => found, () => null);
  setText(byId('name'), status?.name ?? '');
  follow({
    afterSeq: status?.journal.seq ?? 0,
    onEvent: (event) => kinds.test(event.kind) && refreshSoon(),
    onOpen: () => connected(true),
    onLost: () => connected(false),
  });
}
