"use strict";
(async () => {
  const byId = id => document.getElementById(id);
  const make = (name, text, className) => {
    const element = document.createElement(name);
    if (text !== undefined) element.textContent = text;
    if (className) element.className = className;
    return element;
  };

  const unpack = id => {
    const bytes = Uint8Array.from(atob(byId(id).textContent), letter => letter.charCodeAt(0));
    return new Response(new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"))).text();
  };

  const fail = error => {
    byId("failure").textContent =
      `The charts can't be drawn in this browser: ${error.message ?? error}. The report beside this file, report.html, needs no script.`;
    byId("failure").hidden = false;
    document.body.dataset.state = "failed";
  };

  // -- figures ---------------------------------------------------------------------------------------------------

  const digits = value => {
    if (value === null || value === undefined) return "";
    if (typeof value !== "number") return String(value);
    return value === 0 ? "0" : Number(value.toPrecision(4)).toLocaleString("en", { maximumSignificantDigits: 4 }).replace("-", "−");
  };
  const quantity = (value, unit) => `${digits(value)} ${unit ?? ""}`.trim();

  const start = page => {
    if (!byId("choices")) return; // nothing was measured
    // The cells that a row is about: a chart may write more behind a path, such as the metric, or less, such as no scale.
    const cellsOf = row => {
      if (row.cell !== undefined) return [row.cell];
      if (row.path === undefined) return [];
      return page.paths.filter(path =>
        row.path === path || row.path.startsWith(`${path}: `) || path.startsWith(`${row.path}, `));
    };
    const checked = id => new Set([...byId(id).querySelectorAll("input:checked")].map(input => input.value));
    const chosen = () => ({ metric: byId("metric").value, paths: checked("paths"), dataplanes: checked("dataplanes") });

    const isShown = (row, choice) => {
      const cells = cellsOf(row);
      return (cells.length === 0 || cells.some(cell => choice.paths.has(cell))) &&
        (row.dataplane === undefined || choice.dataplanes.has(row.dataplane));
    };

    const trialsOf = (datum, choice) => {
      if (datum.trial != null) return page.trials.filter(trial => trial.trial === datum.trial);
      const cells = new Set(cellsOf(datum));
      return page.trials.filter(trial => trial.dataplane === datum.dataplane && isShown(trial, choice) &&
        (cells.size === 0 || cells.has(trial.path)) &&
        (datum.column === undefined || trial[datum.column] === datum.at));
    };

    // -- tables ----------------------------------------------------------------------------------------------------

    const table = (trials, caption) => {
      const first = chosen().metric;
      const metrics = Object.entries(page.metrics).filter(([name]) => trials.some(trial => name in trial.values))
        .sort(([a], [b]) => (b === first) - (a === first));
      const headings = ["trial", "visit", "round", "dataplane", "path", "repetition",
        ...metrics.map(([, metric]) => metric.unit ? `${metric.title}, ${metric.unit}` : metric.title), "flags"];
      const grid = make("table", undefined, "trials");
      grid.append(make("caption", caption));
      const head = grid.createTHead().insertRow();
      for (const heading of headings) {
        const cell = make("th", heading);
        cell.scope = "col";
        head.append(cell);
      }
      const body = grid.createTBody();
      for (const trial of trials) {
        const row = body.insertRow();
        for (const name of ["trial", "visit", "round", "dataplane", "path", "repetition"]) {
          row.insertCell().textContent = trial[name] ?? "";
        }
        if (trial.error !== null) {
          row.className = "failed";
          const cell = row.insertCell();
          cell.className = "error";
          cell.colSpan = Math.max(1, metrics.length);
          cell.textContent = trial.error;
        } else {
          for (const [name, metric] of metrics) {
            const value = trial.values[name];
            const mark = trial.voids.includes(metric.kind) ? "‡" : trial.marks.includes(metric.kind) ? "†" : "";
            row.insertCell().textContent = value === undefined ? "" : digits(value / metric.size) + mark;
          }
        }
        row.insertCell().textContent = trial.flags.join(", ");
      }
      return grid;
    };

    const counted = (count, word) => `${count.toLocaleString("en")} ${word}${count === 1 ? "" : "s"}`;

    const MOST_ROWS = 200;
    let all = false;
    const listTrials = choice => {
      const trials = page.trials.filter(trial => isShown(trial, choice));
      const listed = all ? trials : trials.slice(0, MOST_ROWS);
      const caption = `${counted(trials.length, "trial")}${listed.length < trials.length ? `, of which the first ${MOST_ROWS}` : ""}; † marked by a flag, ‡ left out because of one`;
      byId("chosen-trials").querySelector(".scroll").replaceChildren(table(listed, caption));
      byId("more").hidden = listed.length === trials.length;
    };

    const showBehind = datum => {
      const trials = trialsOf(datum, chosen());
      if (!trials.length) return;
      const paths = [...new Set(trials.map(trial => trial.path))];
      const where = [datum.dataplane, paths.length === 1 ? paths[0] : datum.path].filter(Boolean).join(", ");
      byId("behind-heading").textContent = datum.trial != null ? `Trial ${datum.trial}: ${where}` : where;
      byId("behind").querySelector(".scroll").replaceChildren(table(trials, counted(trials.length, "trial")));
      byId("behind").showModal();
    };

    // -- tooltips --------------------------------------------------------------------------------------------------

    const isOfARun = datum => typeof datum.at === "string"; // in a trend: its trials are in the page of that run

    const lines = datum => {
      const found = [];
      const add = (name, value) => { if (value !== undefined && value !== null && value !== "") found.push([name, String(value)]); };
      add("dataplane", datum.dataplane);
      add("path", datum.path);
      add("part", datum.part);
      if (datum.trial != null) {
        add("trial", datum.trial);
        add("visit", datum.visit);
      }
      add("round", datum.round);
      if (datum.outcome !== undefined) {
        add(`against ${datum.baseline}`, `${datum.outcome}: ${datum.text}`);
      } else if (datum.text !== undefined) {
        add("mean", datum.value === null ? datum.text : `${datum.text} ${datum.unit ?? ""}`.trim());
        if (typeof datum.low === "number") add("95 % interval", `${digits(datum.low)} to ${quantity(datum.high, datum.unit)}`);
      } else {
        add("value", typeof datum.value === "number" ? quantity(datum.value, datum.unit) : datum.value);
      }
      if (datum.minute !== undefined) add("minute", digits(datum.minute));
      if (isOfARun(datum)) add("run of", datum.at.slice(0, 16).replace("T", " "));
      else if (datum.factor !== undefined) add(datum.factor, digits(datum.at));
      if (datum.flagged) add("", "with flagged trials");
      add("change", datum.size);
      if (datum.flags?.length) add("flags", datum.flags.join(", "));
      if (datum.void) add("", "left out of every mean");
      return found;
    };

    const tip = byId("tip");
    const tooltip = (_handler, event, item, value) => {
      const found = value == null || item?.datum?.dataplane === undefined ? [] : lines(item.datum);
      tip.hidden = found.length === 0;
      if (tip.hidden) return;
      const list = make("dl");
      for (const [name, text] of found) list.append(make("dt", name), make("dd", text));
      tip.replaceChildren(list);
      const box = tip.getBoundingClientRect();
      const left = Math.min(event.clientX + 14, innerWidth - box.width - 8);
      const below = event.clientY + 16 + box.height < innerHeight;
      tip.style.left = `${Math.max(8, left)}px`;
      tip.style.top = `${below ? event.clientY + 16 : Math.max(8, event.clientY - box.height - 12)}px`;
    };

    // -- charts ----------------------------------------------------------------------------------------------------

    const isNarrow = matchMedia("(max-width: 759px)");

    const drawnOf = (name, choice) => {
      const chart = name ? page.charts[name] : page.every_trial;
      const wanted = data => name ? page.rows[data] : page.metrics[choice.metric].rows;
      // Copied, since Vega adds fields of its own to the rows.
      const rows = chart.data.map(data => [data, structuredClone(wanted(data).filter(row => isShown(row, choice)))]);
      if (!name) {
        const metric = page.metrics[choice.metric];
        for (const trial of page.trials) {
          const value = trial.values[choice.metric];
          if (value === undefined || trial.error !== null || !isShown(trial, choice)) continue;
          const shown = { value: value / metric.size, unit: metric.unit, void: trial.voids.includes(metric.kind) };
          rows[0][1].push({ ...trial, ...shown });
        }
      }
      return [chart.looks[isNarrow.matches ? "narrow" : "wide"], Object.fromEntries(rows)];
    };

    const draw = async (place, choice) => {
      const [spec, datasets] = drawnOf(place.dataset.chart, choice);
      if (!Object.values(datasets).some(rows => rows.length)) {
        place.replaceChildren(make("p", "Nothing of what is chosen is in this chart.", "empty"));
        return;
      }
      const { view } = await vegaEmbed(place, { ...spec, datasets }, {
        mode: "vega-lite", renderer: "svg", ast: true, actions: false, defaultStyle: false, logLevel: 1, tooltip,
        config: { ...page.looks[isNarrow.matches ? "narrow" : "wide"], mark: { tooltip: { content: "data" } } },
      });
      view.addEventListener("click", (_event, item) => {
        if (item?.datum?.dataplane !== undefined && !isOfARun(item.datum)) showBehind(item.datum);
      });
    };

    const places = [...document.querySelectorAll(".drawing")];
    const stale = new Set(places);
    const visible = new Set();
    let drawing = Promise.resolve();
    const drawVisible = () => {
      for (const place of places.filter(each => stale.has(each) && visible.has(each))) {
        stale.delete(place);
        drawing = drawing.then(() => draw(place, chosen())).then(() => {
          place.dataset.drawn = byId("metric").value;
          document.body.dataset.drawn = String(places.length - stale.size);
        }).catch(fail);
      }
    };
    const observer = new IntersectionObserver(entries => {
      for (const entry of entries) visible[entry.isIntersecting ? "add" : "delete"](entry.target);
      drawVisible();
    }, { rootMargin: "400px" });

    const tell = choice => {
      const { title, unit } = page.metrics[choice.metric];
      byId("shown").textContent = unit ? `${title}, ${unit}` : title;
      const told = page.comparisons.filter(each => each.metric === choice.metric && isShown(each, choice));
      byId("told-heading").hidden = told.length === 0;
      byId("told").replaceChildren(...told.map(each => make("li", `${each.cell}: ${each.text}`)));
      const trials = page.trials.filter(trial => isShown(trial, choice));
      const missing = [["not-run", "never ran"], ["failed", "failed"]].flatMap(([outcome, word]) => {
        const count = trials.filter(trial => trial.outcome === outcome).length;
        return count ? [`${count.toLocaleString("en")} of ${counted(trials.length, "trial")} ${word}`] : [];
      });
      byId("untold").textContent = missing.length ? `Of what is chosen ${missing.join(", and ")}; the reasons stand in the table below.` : "";
    };

    const refresh = event => {
      const choice = chosen();
      for (const id of ["paths", "dataplanes"]) {
        const count = byId(id).querySelectorAll("input").length;
        byId(`${id}-chosen`).textContent = choice[id].size === count ? "all" : `${choice[id].size} of ${count}`;
      }
      const onlyMetric = event?.target === byId("metric");
      for (const place of places) if (!onlyMetric || !place.dataset.chart) stale.add(place);
      tell(choice);
      listTrials(choice);
      drawVisible();
    };

    byId("choices").addEventListener("change", refresh);
    byId("choices").addEventListener("submit", event => event.preventDefault());
    byId("more").addEventListener("click", () => { all = true; listTrials(chosen()); });
    addEventListener("scroll", () => { tip.hidden = true; }, { passive: true });
    isNarrow.addEventListener("change", () => refresh());
    refresh();
    for (const place of places) observer.observe(place);
    document.body.dataset.state = "ready";
  };

  try {
    const [library, figures] = await Promise.all([unpack("vega"), unpack("figures")]);
    document.head.append(make("script", library));
    start(JSON.parse(figures));
  } catch (error) {
    fail(error);
  }
})();
