/** A group of two bars. */
export interface Pair {
  label: string;
  bare: number;
  parley: number;
}

const WIDTH = 720;
const HEIGHT = 360;
const LEFT = 70;
const BOTTOM = 50;
const TOP = 50;
const BAR = 60;

/** Draws pairs of bars as an SVG, with the ratio above each pair. */
export function drawPairs(title: string, unit: string, pairs: readonly Pair[]): string {
  const highest = Math.max(...pairs.flatMap(({ bare, parley }) => [bare, parley]));
  const height = (value: number) => ((HEIGHT - TOP - BOTTOM) * value) / highest;
  const floor = HEIGHT - BOTTOM;
  const step = (WIDTH - LEFT) / pairs.length;
  const bars = pairs.map(({ label, bare, parley }, index) => {
    const center = LEFT + step * (index + 0.5);
    return [
      bar(center - BAR - 4, floor, height(bare), '#9aa5b1'),
      bar(center + 4, floor, height(parley), '#2f6f4f'),
      text(center - BAR / 2 - 4, floor - height(bare) - 6, figure(bare)),
      text(center + BAR / 2 + 4, floor - height(parley) - 6, figure(parley)),
      text(center, floor + 20, label),
      text(center, floor + 38, `${(parley / bare).toFixed(2)} ×`),
    ].join('\n');
  });
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${WIDTH} ${HEIGHT}" font-family="sans-serif" font-size="13">`,
    `<rect width="${WIDTH}" height="${HEIGHT}" fill="#ffffff"/>`,
    text(WIDTH / 2, 20, title),
    text(WIDTH / 2, 38, `${unit}: bare Socket.IO (grey), Parley (green)`),
    `<line x1="${LEFT}" y1="${floor}" x2="${WIDTH}" y2="${floor}" stroke="#52606d"/>`,
    ...bars,
    '</svg>',
    '',
  ].join('\n');
}

function bar(x: number, floor: number, height: number, color: string): string {
  const y = (floor - height).toFixed(1);
  return `<rect x="${x}" y="${y}" width="${BAR}" height="${height.toFixed(1)}" fill="${color}"/>`;
}

function text(x: number, y: number, content: string): string {
  return `<text x="${x}" y="${y.toFixed(1)}" text-anchor="middle" fill="#1f2933">${content}</text>`;
}

function figure(value: number): string {
  return value >= 10_000 ? `${Math.round(value / 1000)}k` : value.toFixed(value < 10 ? 1 : 0);
}
