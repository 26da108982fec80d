// An account, its mail and what goes wrong, with openapi-fetch and types made of the document.

import createClient from "openapi-fetch";
import type { components, paths } from "./mallard.js";

type Schemas = components["schemas"];

const mallard = createClient<paths>({
  baseUrl: process.env.MALLARD_URL ?? "http://127.0.0.1:8080",
  headers: { "X-Access-Token": process.env.MALLARD_TOKEN },
});

/** The answer, where there is one; every failure has the same shape. */
function taken<Answer>(result: { data?: Answer; error?: Schemas["Error"] }): Answer {
  if (result.data === undefined) throw new Error(`${result.error?.code}: ${result.error?.error}`);
  return result.data;
}

// An account, and its mailboxes.
const { id: user } = taken(
  await mallard.POST("/users", {
    body: {
      username: "ada",
      password: "correct horse battery",
      address: "ada@example.com",
      name: "Ada",
    } satisfies Schemas["CreateUserRequest"],
  }),
);
const { results: mailboxes } = taken(
  await mallard.GET("/users/{user}/mailboxes", { params: { path: { user } } }),
);
console.log("mailboxes:", mailboxes.map(({ path, specialUse }) => specialUse ?? path).join(" "));
const mailbox = mailboxes.find(({ path }) => path === "INBOX")!.id;

// A message is put in, listed, read, flagged and found.
const uploaded = taken(
  await mallard.POST("/users/{user}/mailboxes/{mailbox}/messages", {
    params: { path: { user, mailbox } },
    body: {
      from: { name: "Grace", address: "grace@example.org" },
      to: [{ address: "ada@example.com" }],
      subject: "Compilers",
      text: "Dear Ada, they work.",
      unseen: true,
    } satisfies Schemas["UploadMessageRequest"],
  }),
);
const message = uploaded.message.id;
const listing = taken(
  await mallard.GET("/users/{user}/mailboxes/{mailbox}/messages", {
    params: { path: { user, mailbox }, query: { unseen: true, limit: 10 } },
  }),
);
console.log("unread:", listing.results.map(({ id, subject }) => `${id} ${subject}`).join());
const read = taken(
  await mallard.GET("/users/{user}/mailboxes/{mailbox}/messages/{message}", {
    params: { path: { user, mailbox, message }, query: { markAsSeen: true } },
  }),
);
console.log("read:", read.from?.name, read.text);
taken(
  await mallard.PUT("/users/{user}/mailboxes/{mailbox}/messages", {
    params: { path: { user, mailbox } },
    body: { message: String(message), flagged: true } satisfies Schemas["UpdateMessageRequest"],
  }),
);
const found = taken(
  await mallard.GET("/users/{user}/search", { params: { path: { user }, query: { query: "compilers" } } }),
);
console.log("found:", found.results.map(({ subject, seen, flagged }) => `${subject} ${seen} ${flagged}`).join());

// An answer goes out.
const sent = taken(
  await mallard.POST("/users/{user}/submit", {
    params: { path: { user } },
    body: {
      reference: { mailbox, id: message, action: "reply" },
      to: [{ address: "grace@example.org" }],
      text: "Of course they do.",
    } satisfies Schemas["SubmitMessageRequest"],
  }),
);
console.log("sent:", Boolean(sent.message.queueId));

// What goes wrong has a code; which ones can come, the types know.
const { error } = await mallard.GET("/users/{user}/mailboxes/{mailbox}/messages/{message}", {
  params: { path: { user, mailbox, message: 4711 } },
});
if (error?.code === "MessageNotFound") console.log("failed:", error.error);
