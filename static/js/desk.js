// The staff interface: keyboard shortcuts, who else is here, the live preview. Without it, everything works by links and buttons.
(() => {
  const $ = (selector, within = document) => within.querySelector(selector);
  const token = () => $("[name=csrfmiddlewaretoken]")?.value ?? "";
  const post = (url, data) =>
    fetch(url, { method: "POST", body: data, headers: { "X-CSRFToken": token() }, credentials: "same-origin" });

  const OFF = "desk-shortcuts-off";
  const here = () => ($(".desk-page") ? "page" : $("#result_list") || $("#changelist") ? "list" : "");
  const help = [
    ["?", "This help"],
    ["/", "Search"],
    ["F", "Filters (lists)"],
    ["J  K", "Next, previous row (lists)"],
    ["Enter", "Open the row (lists)"],
    ["X", "Select the row (lists)"],
    ["N", "Next in queue (pages)"],
    ["U", "Back"],
    ["Ctrl Enter", "Press the main button of a form"],
    ["G Q", "Go to the queue"],
    ["G R", "Go to refunds"],
    ["G T", "Go to terminations"],
    ["G D", "Go to the dashboard"],
  ];
  const places = {
    q: "cancellations/cancellationrequest/",
    r: "billing/refund/",
    t: "cancellations/termination/",
    d: "",
  };

  function overlay() {
    let box = $("#desk-help");
    if (!box) {
      box = document.createElement("dialog");
      box.id = "desk-help";
      box.setAttribute("aria-labelledby", "desk-help-title");
      const verbs = [...document.querySelectorAll("[data-key]")].map((one) => [
        one.dataset.key.toUpperCase(),
        one.childNodes[0].textContent.trim(),
      ]);
      const rows = [...new Map([...help, ...verbs].map((one) => [one[0], one]))].map((one) => one[1]);
      box.innerHTML = [
        '<h2 id="desk-help-title">Keyboard shortcuts</h2>',
        "<dl></dl>",
        '<label><input type="checkbox"> Single-key shortcuts are on</label>',
        '<form method="dialog"><button class="desk-button first">Close</button></form>',
      ].join("");
      for (const [key, what] of rows) {
        const term = document.createElement("dt"),
          told = document.createElement("dd");
        for (const part of key.split(/\s+/)) {
          const mark = document.createElement("kbd");
          mark.textContent = part;
          term.append(mark, " ");
        }
        told.textContent = what;
        $("dl", box).append(term, told);
      }
      const on = $("input", box);
      on.checked = !localStorage.getItem(OFF);
      on.addEventListener("change", () => (on.checked ? localStorage.removeItem(OFF) : localStorage.setItem(OFF, "1")));
      document.body.append(box);
    }
    box.showModal();
  }

  let going = false,
    row = -1;
  const typing = (target) =>
    target.isContentEditable ||
    /^(textarea|select)$/i.test(target.tagName) ||
    (/^input$/i.test(target.tagName) && !/^(checkbox|radio|button|submit)$/i.test(target.type));
  const rows = () => [...document.querySelectorAll("#result_list tr.data-row")];

  function select(at) {
    const all = rows();
    if (!all.length) return;
    row = Math.max(0, Math.min(at, all.length - 1));
    all.forEach((one, n) => one.classList.toggle("desk-current", n === row));
    const link = $("th a, td a", all[row]);
    link?.focus({ preventScroll: true });
    all[row].scrollIntoView({ block: "nearest" });
  }

  document.addEventListener("keydown", (event) => {
    if (event.key === "Enter" && (event.ctrlKey || event.metaKey) && event.target.form) {
      const button = $("[data-submit]", event.target.form);
      if (button) {
        event.preventDefault();
        button.click();
      }
      return;
    }
    if (event.ctrlKey || event.metaKey || event.altKey || typing(event.target) || $("dialog[open]")) return;
    const key = event.key.toLowerCase();
    if (key === "?") {
      event.preventDefault();
      overlay();
      return;
    }
    if (localStorage.getItem(OFF)) return;
    if (going) {
      going = false;
      if (key in places) {
        event.preventDefault();
        location.assign(new URL(places[key], new URL("/admin/", location)));
      }
      return;
    }
    if (key === "g") {
      going = true;
      setTimeout(() => (going = false), 1500);
      return;
    }
    if (key === "/") {
      const box = $("#searchbar") ?? $("input[type=search], input[name=q]");
      if (box) {
        event.preventDefault();
        box.focus();
      }
      return;
    }
    if (here() === "list") {
      if (key === "j") select(row + 1);
      else if (key === "k") select(row - 1);
      else if (key === "x" && row >= 0) $("input.action-select", rows()[row])?.click();
      else if (key === "f") {
        $("#filters-open")?.click();
        setTimeout(() => $("#changelist-filter a")?.focus(), 150);
      } else return;
      event.preventDefault();
      return;
    }
    const verb = document.querySelector(`[data-key="${CSS.escape(key)}"]`);
    if (verb) {
      event.preventDefault();
      verb.click();
    }
  });

  document.addEventListener("DOMContentLoaded", () => {
    document.addEventListener("focusin", (event) => {
      const at = rows().indexOf(event.target.closest?.("tr.data-row"));
      if (at >= 0) {
        row = at;
        rows().forEach((one, n) => one.classList.toggle("desk-current", n === at));
      }
    });
    watch();
    preview();
    refresh();
    keep();
  });

  function watch() {
    const page = $(".desk-page[data-presence]");
    if (!page) return;
    const others = $("[data-others]", page),
      changed = $("[data-changed]", page);
    const ask = async () => {
      if (document.hidden) return;
      const data = new FormData();
      data.set("seen", page.dataset.seen);
      try {
        const answer = await post(page.dataset.presence, data);
        if (!answer.ok) return;
        const told = await answer.json();
        const words = told.others.length
          ? `${told.others.join(", ")} ${told.others.length === 1 ? "is" : "are"} looking at this, too.`
          : "";
        if (others.textContent !== words) others.textContent = words;
        others.hidden = !words;
        if (told.changed.length && changed.hidden) {
          const list = document.createElement("ul");
          for (const one of told.changed) {
            const item = document.createElement("li");
            item.textContent = one;
            list.append(item);
          }
          const again = document.createElement("a");
          again.href = location.href;
          again.textContent = "Show it as it is now";
          changed.replaceChildren("It changed while you were here:", list, again);
          changed.hidden = false;
        }
      } catch {
        /* the next look tells */
      }
    };
    setTimeout(ask, 2000);
    setInterval(ask, 15000);
    document.addEventListener("visibilitychange", () => !document.hidden && ask());
    addEventListener("pagehide", () => {
      const data = new FormData();
      data.set("leave", "1");
      data.set("csrfmiddlewaretoken", token());
      navigator.sendBeacon?.(page.dataset.presence, data);
    });
  }

  // What is typed survives a session that ended: kept in this tab until it was sent.
  function keep() {
    const box = sessionStorage,
      sent = box.getItem("desk-sent"),
      here = location.pathname;
    if ($(".desk-signin")) return;
    if (sent && sent !== here) {
      box.removeItem(`desk:${sent}`);
    }
    box.removeItem("desk-sent");
    const form = $("form.desk-form[method=post]");
    if (!form || form.enctype === "multipart/form-data") return;
    const fields = [...form.elements].filter(
      (one) =>
        one.name &&
        one.autocomplete !== "off" &&
        /^(textarea|select|input)$/i.test(one.tagName) &&
        !/^(hidden|password|file|submit)$/i.test(one.type),
    );
    const known = JSON.parse(box.getItem(`desk:${here}`) ?? "{}");
    let restored = false;
    for (const one of fields) {
      const old = known[one.name];
      if (old === undefined) continue;
      if (one.type === "radio" || one.type === "checkbox") {
        if (old.includes(one.value) && !fields.some((other) => other.name === one.name && other.checked)) {
          one.checked = true;
          restored = true;
        }
      } else if (!one.value && old) {
        one.value = old;
        restored = true;
      }
    }
    if (restored) {
      const note = document.createElement("p");
      note.className = "desk-here";
      note.setAttribute("role", "status");
      note.textContent = "What you had typed here before is there again.";
      form.before(note);
      form.dispatchEvent(new Event("input"));
    }
    form.addEventListener("input", () => {
      const told = {};
      for (const one of fields) {
        if (one.type === "radio" || one.type === "checkbox") {
          if (one.checked) (told[one.name] ??= []).push(one.value);
        } else told[one.name] = one.value;
      }
      box.setItem(`desk:${here}`, JSON.stringify(told));
    });
    form.addEventListener("submit", () => box.setItem("desk-sent", here));
  }

  function refresh() {
    const part = $("[data-refresh]");
    if (!part) return;
    setTimeout(async () => {
      try {
        const answer = await fetch(location.href, { credentials: "same-origin" });
        const fresh = new DOMParser().parseFromString(await answer.text(), "text/html").getElementById(part.id);
        if (fresh) part.replaceWith(fresh);
      } catch {
        /* the next turn shows it */
      }
      refresh();
    }, Number(part.dataset.refresh));
  }

  function preview() {
    const form = $("form[data-preview]"),
      into = $("#preview");
    if (!form || !into) return;
    $("[data-show]", form)?.remove();
    const reply = $("select[data-into]", form);
    if (reply) {
      reply.nextElementSibling?.remove();
      reply.addEventListener("change", () => {
        const field = document.getElementById(reply.dataset.into),
          text = reply.selectedOptions[0].dataset.text;
        if (!text || !field) return;
        field.value = [field.value.trim(), text].filter(Boolean).join("\n\n");
        reply.value = "";
        field.focus();
        field.dispatchEvent(new Event("input", { bubbles: true }));
      });
    }
    if (form.enctype === "multipart/form-data") return;
    let timer,
      turn = 0;
    const show = async () => {
      const mine = ++turn;
      try {
        const answer = await post(form.dataset.preview, new FormData(form));
        if (answer.ok && mine === turn) into.innerHTML = await answer.text();
      } catch {
        /* the preview stays as it was */
      }
    };
    form.addEventListener("input", () => {
      clearTimeout(timer);
      timer = setTimeout(show, 350);
    });
    let sent = false;
    form.addEventListener("submit", (event) => {
      if (sent) event.preventDefault();
      sent = true;
      setTimeout(() => (sent = false), 8000);
    });
    addEventListener("pageshow", () => (sent = false));
  }
})();
