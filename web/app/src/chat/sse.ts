// Server-sent events out of a response: the text after "data:" of each event. Lines end in \n or \r\n, and bytes may be
// cut anywhere.
export async function* events(response: Response): AsyncGenerator<string> {
  const reader = response.body!.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  let data: string[] = [];
  try {
    for (;;) {
      const { value, done } = await reader.read();
      rest += done ? "\n\n" : value;
      let end: number;
      while ((end = rest.indexOf("\n")) >= 0) {
        const text = rest.slice(0, end).replace(/\r$/, "");
        rest = rest.slice(end + 1);
        if (text.startsWith("data:")) data.push(text.slice(text[5] === " " ? 6 : 5));
        else if (text === "" && data.length) {
          yield data.join("\n");
          data = [];
        }
      }
      if (done) break;
    }
  } finally {
    // Whoever stops reading closes the connection.
    reader.cancel().catch(() => {});
  }
}
