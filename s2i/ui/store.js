// What the browser remembers: drawings (one a tab of the browser) and kept pictures, in IndexedDB.
// Every call works without it too (private windows): nothing is stored then, nothing breaks.

let database; // undefined until it is known, null where there is none

const openStore = (() => {
  let opened;
  return () => (opened ??= new Promise((resolve) => {
    const request = window.indexedDB?.open('s2i', 1);
    const found = (it) => resolve(database = it);
    if (!request) return found(null);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('drawings', { keyPath: 'id' });
      request.result.createObjectStore('kept', { keyPath: 'id' });
    };
    request.onsuccess = () => found(request.result);
    request.onerror = () => found(null);
  }));
})();

// A page that is being left runs nothing later: once the store is open, writing waits for nothing.
async function inStore(name, mode, action) {
  if (database === undefined) await openStore();
  if (!database) return null;
  return new Promise((resolve) => {
    const transaction = database.transaction(name, mode);
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
