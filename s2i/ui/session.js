// The session: kept pictures with their drawings, newest first, in this browser only.

const s2i = (window.s2i ??= {});
const LIMIT = 100;
const find = (selector) => element.querySelector(selector);
let kept = [];

const bytesOf = (url) => Uint8Array.from(atob(url.split(',')[1]), (c) => c.charCodeAt(0));

function makeButton(text, title, testid, run) {
  const button = document.createElement('button');
  button.type = 'button';
  button.textContent = text;
  button.title = title;
  button.setAttribute('aria-label', title);
  button.dataset.testid = testid;
  button.addEventListener('click', run);
  return button;
}

function showAll() {
  find('[data-do=all]').hidden = !kept.length;
  find('.count').textContent = kept.length
    ? `${kept.length} ${kept.length === 1 ? 'picture' : 'pictures'}, in this browser only`
    : 'keep a picture and it waits here';
  find('.kept').replaceChildren(...kept.map((item) => {
    const card = document.createElement('figure'), picture = new Image();
    card.dataset.testid = 'kept-item';
    picture.src = item.picture;
    picture.alt = item.about ?? 'a kept picture';
    const open = makeButton('', 'Bring this drawing back', 'kept-open', () => bringBack(item));
    open.append(picture);
    open.className = 'open';
    const caption = document.createElement('figcaption');
    caption.textContent = item.about ?? '';
    const row = document.createElement('div');
    row.append(
      makeButton('save', 'Save this picture', 'kept-save', () => s2i.download(item.picture, `${item.name}.png`)),
      makeButton('remove', 'Remove it from the session', 'kept-remove', () => remove(item)),
    );
    card.append(open, caption, row);
    return card;
  }));
}

async function bringBack(item) {
  const isPhoto = 'photo' in item;
  if (isPhoto !== s2i.pad.isOnPhoto) s2i.start?.openTab(item.method, item.weights);
  else if (item.weights) s2i.start?.chooseWeights(item.method, item.weights);
  if (!isPhoto) await s2i.pad.load({ lines: item.lines, colors: item.colors });
  else if (!await s2i.pad.bringPhoto(item.photo, item.marks)) {
    return s2i.pad.notice('The photo of that picture is not in this browser any more: open it again.', { isError: true });
  }
  s2i.pad.notice(`The ${isPhoto ? 'photo' : 'drawing'} of that picture is back on the pad (undo returns yours).`);
}

function remove(item) {
  kept = kept.filter((one) => one !== item);
  store.drop('kept', item.id);
  showAll();
}

function keep(item) {
  const full = { ...item, id: `${Date.now()}-${Math.random()}`, time: Date.now() };
  kept.unshift(full);
  store.put('kept', full);
  for (const old of kept.splice(LIMIT)) store.drop('kept', old.id);
  showAll();
}

// A zip without compression: the PNGs inside are compressed already.
const crcTable = Uint32Array.from({ length: 256 }, (_, n) => {
  for (let k = 0; k < 8; k++) n = n & 1 ? 0xedb88320 ^ (n >>> 1) : n >>> 1;
  return n;
});

function crcOf(bytes) {
  let crc = -1;
  for (const byte of bytes) crc = crcTable[(crc ^ byte) & 255] ^ (crc >>> 8);
  return ~crc >>> 0;
}

function zip(files) {
  const parts = [], index = [];
  let at = 0;
  for (const [name, bytes] of files) {
    const path = new TextEncoder().encode(name), crc = crcOf(bytes);
    const head = new DataView(new ArrayBuffer(46));
    const sizes = [crc, bytes.length, bytes.length];
    head.setUint32(0, 0x504b0102);
    head.setUint16(4, 20, true);
    head.setUint16(6, 20, true);
    head.setUint32(12, 0x00210000, true); // 1 January 1980, 0:00
    sizes.forEach((value, i) => head.setUint32(16 + 4 * i, value, true));
    head.setUint16(28, path.length, true);
    head.setUint32(42, at, true);
    const local = new DataView(new ArrayBuffer(30));
    local.setUint32(0, 0x504b0304);
    new Uint8Array(local.buffer).set(new Uint8Array(head.buffer, 6, 24), 4);
    parts.push(local.buffer, path, bytes);
    index.push(head.buffer, path);
    at += 30 + path.length + bytes.length;
  }
  const end = new DataView(new ArrayBuffer(22));
  end.setUint32(0, 0x504b0506);
  end.setUint16(8, files.length, true);
  end.setUint16(10, files.length, true);
  end.setUint32(12, index.reduce((sum, part) => sum + part.byteLength, 0), true);
  end.setUint32(16, at, true);
  return new Blob([...parts, ...index, end.buffer], { type: 'application/zip' });
}

// Save [name, data URL or text] pairs as one zip.
function saveZip(files, name) {
  const encode = (content) => (content.startsWith('data:') ? bytesOf(content) : new TextEncoder().encode(content));
  const href = URL.createObjectURL(zip(files.map(([path, content]) => [path, encode(content)])));
  s2i.download(href, name);
  setTimeout(() => URL.revokeObjectURL(href), 10000);
}

async function saveAll() {
  const files = [], captions = [];
  for (const [i, item] of kept.entries()) {
    const name = String(kept.length - i).padStart(3, '0');
    captions.push(`${name}\t${item.about ?? ''}`);
    files.push([`${name}.png`, item.picture]);
    for (const layer of ['lines', 'colors', 'marks']) {
      if (item[layer]) files.push([`${name}.${layer}.png`, item[layer]]);
    }
    const photo = item.photo && await store.get('photos', item.photo);
    if (photo) files.push([`${name}.photo.${photo.url.slice(11, photo.url.indexOf(';'))}`, photo.url]);
  }
  saveZip([...files, ['captions.txt', `${captions.reverse().join('\n')}\n`]], 's2i-session.zip');
}

element.addEventListener('click', (event) => {
  if (event.target.closest('[data-do=all]')) saveAll();
});

s2i.session = { keep, saveZip };
store.all('kept').then((items) => {
  kept = [...kept, ...items.sort((a, b) => b.time - a.time)];
  showAll();
});
