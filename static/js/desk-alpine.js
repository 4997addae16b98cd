// What the CSP build of Alpine.js needs to know of django-unfold (docs/adr/0026): it looks names up in the data of the page
// alone, and never in the browser's globals.
/* global theme, moveRecords, sortRecords, getCurrentTab, searchForm, searchDropdown, searchCommand */
document.addEventListener("alpine:init", () => {
  // On <html>: unfold's own data, and what its attributes call by name
  Alpine.data("theme", (...given) => ({
    ...theme(...given),
    moveRecords,
    sortRecords,
    window: {
      location: {
        get pathname() {
          return location.pathname;
        },
        get search() {
          return location.search;
        },
      },
    },
  }));

  // On <body>: the tab of the page, and whether the side bar is open
  Alpine.data("deskPage", (primaryTab) => ({
    activeTab: (primaryTab && getCurrentTab()) || primaryTab || "",
    sidebarMobileOpen: false,
    sidebarDesktopOpen: (localStorage.getItem("sidebarDesktopOpen") ?? "1") === "1",
    init() {
      this.$watch("sidebarDesktopOpen", (open) => localStorage.setItem("sidebarDesktopOpen", open ? "1" : "0"));
    },
  }));

  Alpine.data("searchForm", () => searchForm());
  Alpine.data("searchDropdown", () => searchDropdown());
  Alpine.data("searchCommand", () => ({
    ...searchCommand(),
    selectUnlessHeld(event, isKept) {
      if (!event.metaKey && !event.ctrlKey) this.selectItem(isKept, false);
    },
  }));
});
