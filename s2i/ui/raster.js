// Pure operations on layers. A layer is an ImageData; nothing here knows the page.
// Strokes are computed, not drawn with canvas paths: colours stay exactly those of the palette
// (no blended edge), and a line that crosses itself gets no darker.

const INK_ALPHA = 127; // a line pixel darker than this stops a fill

function toRgba(hex) {
  const n = parseInt(hex.slice(1), 16);
  return [n >> 16, (n >> 8) & 255, n & 255, 255];
}

function toHex(r, g, b) {
  return '#' + ((1 << 24) | (r << 16) | (g << 8) | b).toString(16).slice(1);
}

function pack([r, g, b, a]) {
  return new Uint32Array(new Uint8ClampedArray([r, g, b, a]).buffer)[0];
}

function joinRects(a, b) {
  if (!a || !b) return a || b;
  const x = Math.min(a.x, b.x), y = Math.min(a.y, b.y);
  return {
    x, y,
    w: Math.max(a.x + a.w, b.x + b.w) - x,
    h: Math.max(a.y + a.h, b.y + b.h) - y,
  };
}

// Lay a capsule between two points {x, y, r}. `rgba` null erases; `isSoft` has a one pixel edge.
function drawCapsule(layer, from, to, { rgba, isSoft }) {
  const { width, height, data } = layer, reach = Math.max(from.r, to.r) + 1;
  const x0 = Math.max(0, Math.floor(Math.min(from.x, to.x) - reach));
  const y0 = Math.max(0, Math.floor(Math.min(from.y, to.y) - reach));
  const x1 = Math.min(width - 1, Math.ceil(Math.max(from.x, to.x) + reach));
  const y1 = Math.min(height - 1, Math.ceil(Math.max(from.y, to.y) + reach));
  if (x1 < x0 || y1 < y0) return null;
  const dx = to.x - from.x, dy = to.y - from.y, length2 = dx * dx + dy * dy || 1;
  for (let y = y0; y <= y1; y++) {
    for (let x = x0; x <= x1; x++) {
      const px = x + 0.5 - from.x, py = y + 0.5 - from.y;
      const t = Math.min(1, Math.max(0, (px * dx + py * dy) / length2));
      const distance = Math.hypot(px - t * dx, py - t * dy);
      const cover = from.r + t * (to.r - from.r) - distance + 0.5;
      if (cover <= (isSoft ? 0 : 0.5)) continue;
      const i = (y * width + x) * 4;
      const alpha = isSoft ? Math.min(255, Math.round(cover * 255)) : 255;
      if (!rgba) {
        data[i + 3] = Math.min(data[i + 3], 255 - alpha);
        if (!data[i + 3]) data[i] = data[i + 1] = data[i + 2] = 0;
      } else if (alpha >= data[i + 3]) {
        data[i] = rgba[0];
        data[i + 1] = rgba[1];
        data[i + 2] = rgba[2];
        data[i + 3] = alpha;
      }
    }
  }
  return { x: x0, y: y0, w: x1 - x0 + 1, h: y1 - y0 + 1 };
}

// Every pixel within `radius` of a set pixel of `mask`.
function dilate(mask, width, height, radius) {
  if (!radius) return mask;
  const out = new Uint8Array(mask.length), reach = [];
  for (let dy = -radius; dy <= radius; dy++) {
    const dx = Math.floor(Math.sqrt(radius * radius - dy * dy));
    reach.push([dy, dx]);
  }
  for (let y = 0; y < height; y++) {
    for (let x = 0; x < width; x++) {
      if (!mask[y * width + x]) continue;
      for (const [dy, dx] of reach) {
        const row = y + dy;
        if (row < 0 || row >= height) continue;
        out.fill(1, row * width + Math.max(0, x - dx), row * width + Math.min(width, x + dx + 1));
      }
    }
  }
  return out;
}

// Walk 4-connected from the pixels in `queue` over pixels that `isOpen` allows; marks `seen`.
function spread(queue, seen, isOpen, width, height) {
  for (let head = 0; head < queue.length; head++) {
    const i = queue[head], x = i % width;
    const next = [x ? i - 1 : -1, x < width - 1 ? i + 1 : -1, i - width, i + width];
    for (const j of next) {
      if (j < 0 || j >= width * height || seen[j] || !isOpen(j)) continue;
      seen[j] = 1;
      queue.push(j);
    }
  }
  return queue;
}

// Fill the area around (x, y): same colour there, bounded by lines whose gaps of up to `gap`
// pixels count as closed, reaching one pixel under the lines. Returns whether anything changed.
function fillArea(target, lines, x, y, rgba, { gap = 6 } = {}) {
  const { width, height } = target, count = width * height;
  const pixels = new Uint32Array(target.data.buffer), isLines = target === lines;
  const stops = new Uint8Array(count);
  for (let i = 0; i < count; i++) stops[i] = lines.data[i * 4 + 3] > INK_ALPHA;
  const start = y * width + x;
  if (stops[start]) return false;
  const wanted = pixels[start];
  const isOpen = (i) => !stops[i] && (isLines || pixels[i] === wanted);
  let closed, seed = -1;
  for (let radius = Math.floor(gap / 2); seed < 0; radius--) {
    closed = dilate(stops, width, height, radius);
    if (!closed[start]) seed = start;
    else {
      // The pen is close to a line: look for the open area that this pixel belongs to.
      const near = new Uint8Array(count), limit = 2 * radius + 2;
      near[start] = 1;
      const inReach = (i) => isOpen(i) &&
        Math.hypot((i % width) - x, Math.floor(i / width) - y) <= limit;
      seed = spread([start], near, inReach, width, height).find((i) => !closed[i]) ?? -1;
    }
  }
  const filled = new Uint8Array(count);
  filled[seed] = 1;
  const area = spread([seed], filled, (i) => !closed[i] && isOpen(i), width, height);
  // Back to the lines: everything in the closed zone that leads nowhere but here.
  const others = new Uint8Array(count), outside = [];
  for (let i = 0; i < count; i++) {
    if (!closed[i] && !filled[i] && isOpen(i)) {
      others[i] = 1;
      outside.push(i);
    }
  }
  // Both sides of a gap claim the zone between them at the same pace.
  let inner = area, outer = outside;
  while (inner.length || outer.length) {
    inner = growOnce(inner, filled, (i) => !others[i] && isOpen(i), width, height);
    outer = growOnce(outer, others, (i) => !filled[i] && isOpen(i), width, height);
  }
  const reached = [];
  for (let i = 0; i < count; i++) if (filled[i]) reached.push(i);
  growOnce(reached, filled, (i) => stops[i], width, height);
  const colour = pack(rgba);
  let hasChanged = false;
  for (let i = 0; i < count; i++) {
    if (!filled[i] || pixels[i] === colour) continue;
    pixels[i] = colour;
    hasChanged = true;
  }
  return hasChanged;
}

function growOnce(edge, seen, isOpen, width, height) {
  const next = [];
  for (const i of edge) {
    const x = i % width;
    for (const j of [x ? i - 1 : -1, x < width - 1 ? i + 1 : -1, i - width, i + width]) {
      if (j < 0 || j >= width * height || seen[j] || !isOpen(j)) continue;
      seen[j] = 1;
      next.push(j);
    }
  }
  return next;
}

// Give every pixel of the colour at (x, y) the new one. Returns whether anything changed.
function replaceColour(layer, x, y, rgba) {
  const pixels = new Uint32Array(layer.data.buffer), colour = pack(rgba);
  const wanted = pixels[y * layer.width + x];
  if (wanted === colour) return false;
  for (let i = 0; i < pixels.length; i++) if (pixels[i] === wanted) pixels[i] = colour;
  return true;
}

// Dark lines on white or transparent paper become ink with alpha; the server knows other papers.
function asLines(picture) {
  const { data } = picture;
  for (let i = 0; i < data.length; i += 4) {
    const a = data[i + 3] / 255;
    const grey = (0.299 * data[i] + 0.587 * data[i + 1] + 0.114 * data[i + 2]) * a + 255 * (1 - a);
    data[i + 3] = 255 - grey;
    data[i] = data[i + 1] = data[i + 2] = 0;
  }
  return picture;
}

// Colours are painted or not, nothing between; on a picture without alpha white is bare paper.
function asColors(picture) {
  const { data } = picture;
  let isOpaque = true;
  for (let i = 3; i < data.length && isOpaque; i += 4) isOpaque = data[i] === 255;
  for (let i = 0; i < data.length; i += 4) {
    const isWhite = Math.min(data[i], data[i + 1], data[i + 2]) >= 250;
    if (isOpaque ? isWhite : data[i + 3] < 128) data[i] = data[i + 1] = data[i + 2] = data[i + 3] = 0;
    else data[i + 3] = 255;
  }
  return picture;
}
