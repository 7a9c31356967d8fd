// Browsers refuse workers to pages that are opened from the disk. The search of this site runs in
// a worker; there, it runs in a hidden frame instead.
if (location.protocol === "file:") {
  window.IFrameWorker = window.Worker = class extends EventTarget {
    constructor(url) {
      super();
      this.ready = false;
      this.waiting = [];
      this.onmessage = null;
      const frame = document.createElement("iframe");
      frame.hidden = true;
      document.body.appendChild(frame);
      this.inner = frame.contentWindow;
      const page = frame.contentDocument;
      const load = (source) =>
        new Promise((done, fail) => {
          const script = page.createElement("script");
          script.src = source;
          script.onload = done;
          script.onerror = () => fail(new Error(source));
          page.head.appendChild(script);
        });
      this.inner.postMessage = (data) => {
        const event = new MessageEvent("message", { data });
        this.dispatchEvent(event);
        if (this.onmessage) this.onmessage(event);
      };
      this.inner.importScripts = (...sources) =>
        sources.reduce((before, source) => before.then(() => load(source)), Promise.resolve());
      load(url).then(() => {
        this.ready = true;
        this.waiting.splice(0).forEach((data) => this.deliver(data));
      });
    }
    deliver(data) {
      this.inner.dispatchEvent(new this.inner.MessageEvent("message", { data }));
    }
    postMessage(data) {
      this.ready ? this.deliver(data) : this.waiting.push(data);
    }
    terminate() {}
  };
}
