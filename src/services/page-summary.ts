import { Parser } from 'htmlparser2';
import type { LinkPreview } from '../models/link-preview.model';
import type { WebPage } from './link-fetcher';

const MAX_TITLE = 200;
const MAX_DESCRIPTION = 500;
const MAX_URL = 2048;

/** What is read of a page: the first of each name, in the order of preference. */
const NAMES = {
  title: ['og:title', 'twitter:title'],
  description: ['og:description', 'twitter:description', 'description'],
  image: ['og:image:secure_url', 'og:image', 'twitter:image'],
  site: ['og:site_name', 'application-name'],
} as const;

/**
 * Reads of a page what it says of itself. It is text, whatever the page makes of it: nothing of it is HTML.
 * @param link as it stands in the message.
 * @returns null if the page says nothing.
 */
export function summarise(link: string, page: WebPage): LinkPreview | null {
  const { meta, heading } = readHead(page.html);
  const first = (names: readonly string[]) => names.map((name) => meta.get(name)).find(Boolean);
  const title = plain(first(NAMES.title) ?? heading, MAX_TITLE);
  if (title === '') return null;
  return {
    url: link,
    title,
    description: plain(first(NAMES.description) ?? '', MAX_DESCRIPTION),
    imageUrl: imageUrl(first(NAMES.image), page.url),
    siteName: plain(first(NAMES.site) ?? new URL(page.url).hostname, MAX_TITLE),
  };
}

function readHead(html: string): { meta: Map<string, string>; heading: string } {
  const meta = new Map<string, string>();
  let heading = '';
  let inTitle = false;
  let hasTitle = false;
  const parser = new Parser({
    onopentag(tag, attributes) {
      if (tag === 'title') inTitle = !hasTitle;
      const name = (attributes['property'] ?? attributes['name'])?.toLowerCase();
      const { content } = attributes;
      if (tag === 'meta' && name && content && !meta.has(name)) meta.set(name, content);
    },
    ontext(text) {
      if (inTitle && heading.length < 10 * MAX_TITLE) heading += text;
    },
    onclosetag(tag) {
      if (tag !== 'title') return;
      hasTitle ||= inTitle;
      inTitle = false;
    },
  });
  parser.end(html);
  return { meta, heading };
}

/** One line of text without characters that control or turn others around, cut between characters. */
function plain(text: string, max: number): string {
  const line = text
    .slice(0, 10 * max)
    .toWellFormed()
    .replace(/[\p{Cc}\p{Bidi_Control}\s]+/gu, ' ')
    .trim();
  const points = [...line];
  return points.length <= max
    ? line
    : `${points
        .slice(0, max - 1)
        .join('')
        .trimEnd()}…`;
}

function imageUrl(text: string | undefined, base: string): string | null {
  if (text === undefined || !URL.canParse(text.trim(), base)) return null;
  const { protocol, href } = new URL(text.trim(), base);
  return /^https?:$/.test(protocol) && href.length <= MAX_URL ? href : null;
}
