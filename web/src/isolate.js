// A service worker gives these pages two things: all cores (it adds the headers that browsers ask for before they let a
// page use threads), and the pages themselves when there is no network. Static hosts can do neither.

const TRIED = "labkit-isolation-tried";

if (location.protocol === "file:") {
  // Nothing to do: early.js tells readers what a page on a disk needs.
} else if (navigator.serviceWorker) {
  navigator.serviceWorker.register("sw.js").then(
    async () => {
      await navigator.serviceWorker.ready;
      if (crossOriginIsolated || sessionStorage.getItem(TRIED)) return;
      sessionStorage.setItem(TRIED, "yes"); // once: some browsers never isolate a page
      if (!navigator.serviceWorker.controller)
        await new Promise((resolve) =>
          navigator.serviceWorker.addEventListener("controllerchange", resolve, { once: true }),
        );
      location.reload();
    },
    () => {},
  );
}
