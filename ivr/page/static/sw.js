// Shows that the company has something to prove, and opens the page that shows it. It keeps nothing, and answers no request.
function read(data) {
  try {
    return data.json() ?? {};
  } catch {
    return {};
  }
}

self.addEventListener("push", (event) => {
  const { title, body, link, language } = read(event.data);
  // a browser takes it amiss when nothing is shown
  event.waitUntil(self.registration.showNotification(title ?? self.location.host, {
    body: body ?? "", lang: language ?? "", tag: link ?? "", data: link ?? "", requireInteraction: true,
  }));
});

self.addEventListener("notificationclick", (event) => {
  const link = event.notification.data;
  event.notification.close();
  // a page of ours, whatever the message says
  if (/^[A-Za-z0-9_-]{22}$/.test(link)) event.waitUntil(self.clients.openWindow(`/p/${link}`));
});
