// What the browser remembers: drawings (one a tab of the browser), kept pictures and, once each, the
// photos that both have to do with, and what was seen and need not come again; in IndexedDB.
// Every call works without it too (private windows): nothing is stored then, nothing breaks.

const HOMES = { drawings: 's2i', kept: 's2i', photos: 's2i.photos', seen: 's2i.seen' }; // store -> database
const databases = {}; // name -> undefined until it is known, null where there is none
const opened = {};

const openStore = (home) => (opened[home] ??= new Promise((resolve) => {
  const request = window.indexedDB?.open(home, 1);
  const found = (it) => resolve(databases[home] = it);
  if (!request) return found(null);
  request.onupgradeneeded = () => {
    for (const name of Object.keys(HOMES)) {
      if (HOMES[name] === home) request.result.createObjectStore(name, { keyPath: 'id' });
    }
  };
  request.onsuccess = () => found(request.result);
  request.onerror = () => found(null);
}));

// A page that is being left runs nothing later: once the store is open, writing waits for nothing.
async function inStore(name, mode, action) {
  const home = HOMES[name];
  if (databases[home] === undefined) await openStore(home);
  if (!databases[home]) return null;
  return new Promise((resolve) => {
    const transaction = databases[home].transaction(name, mode);
    const request = action(transaction.objectStore(name));
    if (mode === 'readwrite') transaction.commit?.();
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
  });
}

const store = {
  get: (name, id) => inStore(name, 'readonly', (s) => s.get(id)),
  all: async (name) => (await inStore(name, 'readonly', (s) => s.getAll())) ?? [],
  put: (name, item) => inStore(name, 'readwrite', (s) => s.put(item)),
  drop: (name, id) => inStore(name, 'readwrite', (s) => s.delete(id)),
};
