// Finds pages by words, in an index that is a script: a page that is opened by file:// may read no other file.
(() => {
  'use strict';
  const MOST = 50;
  const root = document.currentScript.dataset.root;
  const form = document.querySelector('form.search');
  const input = form.querySelector('input');
  const count = form.querySelector('p');
  const list = form.querySelector('ul');
  let pages = null;
  let asked = false;

  const load = () => {
    if (asked) return;
    asked = true;
    const script = document.createElement('script');
    script.src = `${root}search-index.js`;
    script.onload = () => {
      pages = globalThis.sitePages.map(([href, title, detail]) => ({
        href, title, detail, text: `${title} ${detail} ${href}`.toLowerCase(),
      }));
      find();
    };
    script.onerror = () => {
      asked = false;
      count.textContent = 'The index of the search can’t be read.';
    };
    document.head.append(script);
  };

  const item = ({ href, title, detail }) => {
    const link = document.createElement('a');
    link.href = root + href;
    link.textContent = title;
    const small = document.createElement('small');
    small.textContent = detail;
    const entry = document.createElement('li');
    entry.append(link, ' ', small);
    return entry;
  };

  const find = () => {
    const words = input.value.toLowerCase().split(/\s+/).filter(Boolean);
    list.replaceChildren();
    count.textContent = '';
    if (!words.length) return;
    if (!pages) {
      load();
      return;
    }
    const found = pages.filter((page) => words.every((word) => page.text.includes(word)));
    list.replaceChildren(...found.slice(0, MOST).map(item));
    const more = found.length > MOST ? `, of which ${MOST} are shown` : '';
    count.textContent = found.length ? `${found.length} found${more}` : 'Nothing found';
  };

  input.addEventListener('focus', load);
  input.addEventListener('input', find);
  form.addEventListener('submit', (event) => {
    event.preventDefault();
    list.querySelector('a')?.click();
  });
  form.addEventListener('keydown', (event) => {
    if (event.key === 'Escape') {
      input.value = '';
      find();
      input.focus();
    }
  });
  form.hidden = false;
  if (location.hash.startsWith('#search=')) {
    input.value = decodeURIComponent(location.hash.slice('#search='.length));
    find();
  }
})();
