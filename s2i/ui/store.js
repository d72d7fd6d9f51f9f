// What the browser remembers: drawings (one a tab of the browser) and kept pictures, in IndexedDB.
// Every call works without it too (private windows): nothing is stored then, nothing breaks.

const openStore = (() => {
  let opened;
  return () => (opened ??= new Promise((resolve) => {
    const request = window.indexedDB?.open('s2i', 1);
    if (!request) return resolve(null);
    request.onupgradeneeded = () => {
      request.result.createObjectStore('drawings', { keyPath: 'id' });
      request.result.createObjectStore('kept', { keyPath: 'id' });
    };
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => resolve(null);
  }));
})();

async function inStore(name, mode, action) {
  const base = await openStore();
  if (!base) return null;
  return new Promise((resolve) => {
    const request = action(base.transaction(name, mode).objectStore(name));
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
