// The stage: shows the newest picture, keeps the older one while the next is on its way.

const s2i = (window.s2i ??= {});
const find = (selector) => element.querySelector(selector);
const frame = find('.frame'), ghost = find('.ghost'), strip = find('.strip');
let shown = null; // what the server said last
let isGhostOn = false, isStripKept = false;

function download(href, name) {
  const link = document.createElement('a');
  link.href = href;
  link.download = name;
  link.click();
}

const stamp = () => new Date().toISOString().slice(0, 19).replace(/[-:]/g, '').replace('T', '-');
const nameOf = () => `${(shown?.name ?? 's2i').replace(/[^\w-]+/g, '-')}-${stamp()}`;

async function put(source) {
  const next = new Image();
  next.src = source;
  next.alt = shown?.about ? `The picture: ${shown.about}` : 'The picture';
  next.draggable = false;
  next.dataset.testid = 'picture';
  await next.decode();
  frame.querySelector('img').replaceWith(next);
}

watch('shown', async () => {
  const result = props.shown;
  if (!result) return;
  const isNewest = !shown || !result.seq || !shown.seq || result.seq >= shown.seq;
  if (!isNewest) return;
  if (!result.picture) {
    element.classList.add('has-error');
    find('.sentence').textContent = result.sentence ?? '';
    s2i.pad?.painted(result);
    return;
  }
  shown = result;
  await put(result.picture);
  if (shown !== result) return s2i.pad?.painted({ seq: result.seq });
  element.classList.remove('has-error');
  element.classList.add('has-picture');
  find('.sentence').textContent = result.sentence ?? '';
  if (!isStripKept || result.pictures) showStrip(result);
  isStripKept = false;
  s2i.pad?.painted(result);
});

// Take the colours that gave a picture; the others stay beside it, to be tried too.
function useColors(layer) {
  isStripKept = true;
  s2i.pad.useColors(layer);
}

function showStrip({ pictures = [], captions = [], colors = [], gif }) {
  strip.hidden = pictures.length < 2 && !gif && !colors.length;
  if (strip.hidden) return strip.replaceChildren();
  const all = pictures.map((source, i) => [source, captions[i] ?? `picture ${i + 1}`, 'png']);
  if (gif) all.push([gif, 'animation', 'gif']);
  strip.replaceChildren(...all.map(([source, caption, kind], i) => {
    const item = document.createElement('figure'), save = document.createElement('button');
    const button = document.createElement('button'), picture = new Image();
    picture.src = source;
    picture.alt = caption;
    button.type = save.type = 'button';
    button.append(picture);
    button.title = caption;
    button.addEventListener('click', () => put(source));
    save.textContent = '↓';
    save.className = 'get';
    save.title = `Save: ${caption}`;
    save.setAttribute('aria-label', save.title);
    save.addEventListener('click', () => download(source, `${nameOf()}-${i + 1}.${kind}`));
    item.append(button, save);
    if (colors[i]) {
      const use = document.createElement('button');
      use.type = 'button';
      use.className = 'use';
      use.textContent = 'Use these colours';
      use.setAttribute('aria-label', `Use these colours: ${caption}`);
      use.addEventListener('click', () => useColors(colors[i]));
      item.append(use);
    }
    return item;
  }));
}

async function saveLayer(name) {
  let source = s2i.pad.urlOf(name);
  if (name === 'lines') {
    const picture = new Image();
    picture.src = source;
    await picture.decode();
    const room = document.createElement('canvas');
    [room.width, room.height] = [picture.naturalWidth, picture.naturalHeight];
    const brush = room.getContext('2d');
    brush.fillStyle = '#fff';
    brush.fillRect(0, 0, room.width, room.height);
    brush.drawImage(picture, 0, 0);
    source = room.toDataURL('image/png');
  }
  download(source, `drawing-${stamp()}.${name}.png`);
}

const current = () => (element.classList.contains('has-picture') ? frame.querySelector('img').src : null);

const actions = {
  paint: () => s2i.pad?.paintAgain(),
  keep: () => current() && s2i.session?.keep({
    picture: current(), ...s2i.pad.drawing(), about: shown.about, weights: shown.weights,
    method: shown.method, name: nameOf(),
  }),
  save: () => current() && download(current(), `${nameOf()}.png`),
  saveLines: () => saveLayer('lines'),
  saveColors: () => saveLayer('colors'),
  send: () => current() && s2i.start?.openPhoto(current()),
  ghost: () => {
    isGhostOn = !isGhostOn;
    find('[data-do=ghost]').setAttribute('aria-pressed', isGhostOn);
    ghost.hidden = !isGhostOn;
    s2i.pad?.ghost();
  },
};

element.addEventListener('click', (event) => {
  actions[event.target.closest('[data-do]')?.dataset.do]?.();
  if (!event.target.closest('summary')) find('.menu').open = false;
});

s2i.download = download;
s2i.stage = {
  save: actions.save,
  drawGhost(lines) {
    if (!isGhostOn) return;
    [ghost.width, ghost.height] = [lines.width, lines.height];
    ghost.getContext('2d').drawImage(lines, 0, 0);
  },
  colorAt(x, y) { // shares of the picture's width and height -> HEX
    const picture = frame.querySelector('img');
    if (!current()) return null;
    const room = new OffscreenCanvas(1, 1).getContext('2d');
    const { naturalWidth: w, naturalHeight: h } = picture;
    room.drawImage(picture, Math.floor(x * w), Math.floor(y * h), 1, 1, 0, 0, 1, 1);
    const [r, g, b] = room.getImageData(0, 0, 1, 1).data;
    return '#' + ((1 << 24) | (r << 16) | (g << 8) | b).toString(16).slice(1);
  },
  showMethod(method) {
    find('[data-do=paint]').hidden = method.live;
    find('.hint').textContent = method.live ? '' : 'Press Enter to paint.';
  },
};
if (s2i.pad?.method) s2i.stage.showMethod(s2i.pad.method);
