import { Tokenizer, type TokenizerCallbacks } from 'htmlparser2';
import { setImmediate } from 'node:timers/promises';

/** How much is parsed without a pause, in UTF-16 code units: it takes a fraction of a millisecond. */
const SLICE_LENGTH = 32 * 1024;
/** The number of opening tags after which parsing stops. The heads of large sites have a few hundred. */
const MAX_TAGS = 5000;
/** The maximum length of a title or attribute, in UTF-16 code units; the rest is discarded. */
const MAX_TEXT_LENGTH = 5000;
/** The maximum length of tag and attribute names; longer ones are ignored. */
const MAX_NAME_LENGTH = 64;

/** The content of the head of a page. */
export interface Head {
  /** The `content` of the first `<meta>` of each requested name or property, by name in lower case. */
  meta: Map<string, string>;
  /** The text of the first `<title>`. */
  title: string;
}

/**
 * Parses the head of a page and ignores the rest. It parses in slices and yields to other work in between. The time is
 * linear in the length of the page: it tokenizes, and builds no tree.
 * @param names the names of the `<meta>` elements to return, in lower case.
 */
export async function readHead(html: string, names: ReadonlySet<string>): Promise<Head> {
  const reader = new HeadReader(html, names);
  const tokenizer = new Tokenizer({}, reader);
  reader.onStop = () => tokenizer.pause();
  for (let start = 0; start < html.length && tokenizer.running; start += SLICE_LENGTH) {
    if (start > 0) await setImmediate();
    tokenizer.write(html.slice(start, start + SLICE_LENGTH));
  }
  return { meta: reader.meta, title: reader.title };
}

type AttributeName = 'name' | 'property' | 'content';

class HeadReader implements TokenizerCallbacks {
  readonly meta = new Map<string, string>();
  title = '';
  onStop: () => void = () => undefined;
  private tags = 0;
  private inTitle = false;
  private hasTitle = false;
  /** The attributes of the current `<meta>`; undefined within any other tag. */
  private attributes: Map<string, string> | undefined;
  private attribute: AttributeName | undefined;
  private value = '';

  constructor(
    private readonly html: string,
    private readonly names: ReadonlySet<string>,
  ) {}

  onopentagname(start: number, end: number): void {
    const tag = this.nameAt(start, end);
    if (tag === 'body' || ++this.tags > MAX_TAGS) this.onStop();
    this.attributes = tag === 'meta' ? new Map<string, string>() : undefined;
    if (tag === 'title') this.inTitle = !this.hasTitle;
  }

  onattribname(start: number, end: number): void {
    const name = this.attributes && this.nameAt(start, end);
    this.attribute = name === 'name' || name === 'property' || name === 'content' ? name : undefined;
    this.value = '';
  }

  onattribdata(start: number, end: number): void {
    if (this.attribute) this.value = this.append(this.value, start, end);
  }

  onattribentity(codePoint: number): void {
    if (this.attribute && this.value.length < MAX_TEXT_LENGTH) this.value += String.fromCodePoint(codePoint);
  }

  onattribend(): void {
    if (this.attribute && !this.attributes?.has(this.attribute)) {
      this.attributes?.set(this.attribute, this.value);
    }
  }

  onopentagend(): void {
    const name = (this.attributes?.get('property') ?? this.attributes?.get('name'))?.toLowerCase();
    const content = this.attributes?.get('content');
    if (name && content && this.names.has(name) && !this.meta.has(name)) this.meta.set(name, content);
    this.attributes = undefined;
  }

  onselfclosingtag(): void {
    this.onopentagend();
    this.endTitle();
  }

  onclosetag(start: number, end: number): void {
    const tag = this.nameAt(start, end);
    if (tag === 'head') this.onStop();
    if (tag === 'title') this.endTitle();
  }

  ontext(start: number, end: number): void {
    if (this.inTitle) this.title = this.append(this.title, start, end);
  }

  ontextentity(codePoint: number): void {
    if (this.inTitle && this.title.length < MAX_TEXT_LENGTH) this.title += String.fromCodePoint(codePoint);
  }

  // All other tokens are ignored.
  oncdata(): void {}
  oncomment(): void {}
  ondeclaration(): void {}
  onprocessinginstruction(): void {}
  onend(): void {}

  private endTitle(): void {
    this.hasTitle ||= this.inTitle;
    this.inTitle = false;
  }

  /** Returns a name in lower case; empty if it is too long. */
  private nameAt(start: number, end: number): string {
    return end - start > MAX_NAME_LENGTH ? '' : this.html.slice(start, end).toLowerCase();
  }

  private append(text: string, start: number, end: number): string {
    const room = MAX_TEXT_LENGTH - text.length;
    return room > 0 ? text + this.html.slice(start, Math.min(end, start + room)) : text;
  }
}
