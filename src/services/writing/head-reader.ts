import { Tokenizer, type TokenizerCallbacks } from 'htmlparser2';
import { setImmediate } from 'node:timers/promises';

/** What is read without a pause, in UTF-16 code units: a fraction of a millisecond. */
const SLICE = 32 * 1024;
/** Tags that are opened before the reading stops. The heads of large sites have some hundred. */
const MAX_TAGS = 5000;
/** The part of a title or of an attribute that is kept, in UTF-16 code units. */
const MAX_TEXT = 5000;
/** Longer names of tags and attributes are none that anybody asks for. */
const MAX_NAME = 64;

/** What the head of a page says. */
export interface Head {
  /** `content` of the first `<meta>` of each name or property that was asked for, by the name in lower case. */
  meta: Map<string, string>;
  /** The text of the first `<title>`. */
  title: string;
}

/**
 * Reads the head of a page and leaves out the rest of it. It reads in slices, between which other work is done, and
 * takes time in proportion to the length of the page: it only looks at one tag after the other, and builds no tree.
 * @param names of `<meta>` elements that are kept, in lower case.
 */
export async function readHead(html: string, names: ReadonlySet<string>): Promise<Head> {
  const reader = new HeadReader(html, names);
  const tokenizer = new Tokenizer({}, reader);
  reader.onStop = () => tokenizer.pause();
  for (let start = 0; start < html.length && tokenizer.running; start += SLICE) {
    if (start > 0) await setImmediate();
    tokenizer.write(html.slice(start, start + SLICE));
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
  /** Of the `<meta>` that is being read; undefined within any other tag. */
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
    if (this.attribute) this.value = this.extended(this.value, start, end);
  }

  onattribentity(codePoint: number): void {
    if (this.attribute && this.value.length < MAX_TEXT) this.value += String.fromCodePoint(codePoint);
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
    if (this.inTitle) this.title = this.extended(this.title, start, end);
  }

  ontextentity(codePoint: number): void {
    if (this.inTitle && this.title.length < MAX_TEXT) this.title += String.fromCodePoint(codePoint);
  }

  // Nothing else of a page is looked at.
  oncdata(): void {}
  oncomment(): void {}
  ondeclaration(): void {}
  onprocessinginstruction(): void {}
  onend(): void {}

  private endTitle(): void {
    this.hasTitle ||= this.inTitle;
    this.inTitle = false;
  }

  /** A name in lower case; empty if it is longer than any that matters. */
  private nameAt(start: number, end: number): string {
    return end - start > MAX_NAME ? '' : this.html.slice(start, end).toLowerCase();
  }

  private extended(text: string, start: number, end: number): string {
    const room = MAX_TEXT - text.length;
    return room > 0 ? text + this.html.slice(start, Math.min(end, start + room)) : text;
  }
}
