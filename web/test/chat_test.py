"""The chat, as a user does it: send, stream, stop, edit, branches, reload, two tabs, failures, settings, files."""
import json
import pathlib
import tempfile
import time

import browser
from browser import expect


class Chat(browser.PageTest):
    def test_send_and_stream(self):
        self.send("slow 60", wait=False)
        answer = self.answers().last
        expect(answer).to_contain_text("Part")
        first = answer.inner_text()
        expect(self.page.get_by_role("button", name="Stop")).to_be_visible()
        self.page.wait_for_function("n => document.querySelector('.message.assistant .markdown').innerText.length > n + 20", arg=len(first))
        self.settled()
        asked = self.server.asked[0]
        self.assertEqual([asked["stream"], asked["stream_options"]], [True, {"include_usage": True}])
        self.assertEqual(asked["messages"], [{"role": "user", "content": "slow 60"}])
        self.assertNotIn("temperature", asked, "the model's own sampling is the server's affair")
        expect(self.page.locator(".figures-line")).to_contain_text("tokens/s")
        expect(self.page.locator("nav li.entry")).to_have_text("slow 60")

    def test_history_is_sent(self):
        self.send("one")
        self.send("two")
        self.assertEqual([(m["role"], m["content"]) for m in self.server.asked[1]["messages"]],
                         [("user", "one"), ("assistant", "You said: one"), ("user", "two")])

    def test_keyboard(self):
        box = self.page.get_by_role("textbox", name="Message")
        expect(box).to_be_focused()
        box.press_sequentially("a")
        self.page.keyboard.press("Shift+Enter")
        box.press_sequentially("b")
        self.page.keyboard.press("Enter")
        self.settled()
        self.assertEqual(self.server.asked[0]["messages"][0]["content"], "a\nb")
        self.page.keyboard.press("ArrowUp")
        expect(self.page.get_by_role("textbox", name="Edit the message")).to_be_focused()
        self.page.keyboard.press("Escape")
        expect(box).to_be_focused()
        self.page.keyboard.press("Control+Shift+O")
        expect(self.page.locator(".message")).to_have_count(0)
        self.page.wait_for_timeout(100)  # the new chat's box takes the focus with its first frame
        self.page.keyboard.press("Control+k")
        expect(self.page.get_by_role("searchbox")).to_be_focused()

    def test_stop_keeps_what_came(self):
        for how in ("button", "key"):
            self.send("slow 400", wait=False)
            expect(self.answers()).to_have_count(1 if how == "button" else 2)
            expect(self.answers().last).to_contain_text("Part")
            if how == "button":
                self.page.get_by_role("button", name="Stop").click()
            else:
                self.page.keyboard.press("Escape")
            self.settled()
            expect(self.page.get_by_text("Stopped.")).to_have_count(1 if how == "button" else 2)
        expect(self.answers().last).to_contain_text("Part")
        deadline = time.time() + 10
        while self.server.broken_off < 2 and time.time() < deadline:
            time.sleep(.1)
        self.assertEqual(self.server.broken_off, 2, "the request is closed, so that the server stops")
        self.assertLess(self.server.generated, 700)

    def test_edit_and_branches(self):
        self.send("first")
        self.send("second")
        user = self.page.locator(".message.user").last
        user.hover()
        user.get_by_role("button", name="Edit").click()
        box = self.page.get_by_role("textbox", name="Edit the message")
        box.fill("second, edited")
        self.page.keyboard.press("Enter")
        self.settled()
        expect(self.answers().last).to_have_text("You said: second, edited")
        self.assertEqual([m["content"] for m in self.server.asked[2]["messages"]], ["first", "You said: first", "second, edited"])
        branch = self.page.get_by_role("group", name="Branch 2 of 2")
        branch.get_by_role("button", name="Branch before").click()
        expect(self.answers().last).to_have_text("You said: second")
        self.page.locator(".message.assistant").first.get_by_role("button", name="Answer again").click()
        self.settled()
        expect(self.page.locator(".message")).to_have_count(2)
        self.page.get_by_role("button", name="Branch before").click()
        expect(self.page.locator(".message")).to_have_count(4)
        self.page.reload()
        expect(self.page.locator(".message")).to_have_count(4)
        self.assertEqual(len(self.stored()["messages"]), 7)

    def test_reload(self):
        self.send("keep me")
        box = self.page.get_by_role("textbox", name="Message")
        box.fill("half a thought")
        self.page.reload()
        expect(self.answers()).to_have_text("You said: keep me")
        expect(box).to_have_value("half a thought")
        self.page.goto(self.server.url)
        expect(self.page.locator(".message")).to_have_count(0)
        expect(box).to_have_value("")

    def test_reload_while_streaming(self):
        self.send("slow 400", wait=False)
        expect(self.answers().last).to_contain_text("Part")
        time.sleep(1.5)
        came = self.answers().last.inner_text()
        self.page.reload()
        expect(self.page.locator(".ending")).to_contain_text("Stopped.")
        self.assertTrue(self.answers().last.inner_text().startswith(came), "not a word that came is lost")
        self.page.get_by_role("button", name="Answer again").click()
        expect(self.answers().last).to_contain_text("Part")
        self.page.get_by_role("button", name="Stop").click()
        expect(self.page.get_by_role("group", name="Branch 2 of 2")).to_be_visible()

    def test_reload_before_the_store_has_written(self):
        self.send("first")
        self.send("second")
        self.page.locator(".message.assistant").first.get_by_role("button", name="Answer again").click()
        self.settled()
        self.hold_the_store()
        self.page.get_by_role("button", name="Branch before").click()
        expect(self.page.locator(".message")).to_have_count(4)
        self.page.reload()
        expect(self.page.locator(".message")).to_have_count(4)

        self.send("slow 60", wait=False)
        expect(self.answers().last).to_contain_text("Part")
        self.hold_the_store()
        self.settled()
        came = self.answers().last.inner_text()
        self.page.reload()
        expect(self.answers().last).to_have_text(came, use_inner_text=True)
        expect(self.page.get_by_text("Stopped.")).to_have_count(0)

    def hold_the_store(self):
        """What the page writes from now on waits behind a transaction that ends with the page."""
        self.page.evaluate("""() => new Promise((held) => {
            const open = indexedDB.open("jet");
            open.onsuccess = () => {
                const store = open.result.transaction(["conversations", "messages"], "readwrite").objectStore("conversations");
                const again = () => { held(); store.count().onsuccess = again; };
                store.count().onsuccess = again;
            };
        })""")

    def test_two_tabs(self):
        self.send("from one")
        other = self.open()
        other.get_by_role("link", name="from one").click()
        expect(self.answers(other)).to_have_text("You said: from one")
        # Both go on from the same message, at the same time.
        self.send("slow 30", wait=False)
        self.send("slow 20", other, wait=False)
        self.settled()
        self.settled(other)
        time.sleep(.3)
        stored = self.stored()
        self.assertEqual(len(stored["conversations"]), 1)
        self.assertEqual(sorted(m["content"] for m in stored["messages"] if m["role"] == "user"), ["from one", "slow 20", "slow 30"])
        self.assertTrue(all(m["status"] == "done" and m["content"] for m in stored["messages"]))
        for tab in (self.page, other):
            expect(tab.get_by_role("group", name="of 2")).to_be_visible()
        # What one tab writes, the other sees; what one deletes, the other does not bring back.
        other.get_by_role("link", name="New chat").click()
        expect(other.locator(".message")).to_have_count(0)
        self.send("from two", other)
        expect(self.page.get_by_role("link", name="from two")).to_be_visible()
        self.page.get_by_role("button", name="Commands for from one").click()
        self.page.get_by_role("menuitem", name="Delete").click()
        expect(other.get_by_role("link", name="from one")).to_have_count(0)
        self.page.get_by_role("button", name="Undo").click()
        expect(other.get_by_role("link", name="from one")).to_have_count(1)

    def test_conversations_are_apart(self):
        self.send("slow 40", wait=False)
        expect(self.answers().last).to_contain_text("Part")
        self.page.get_by_role("link", name="New chat").click()
        expect(self.page.locator(".message")).to_have_count(0)
        self.send("quick")
        expect(self.answers()).to_have_text("You said: quick")
        self.page.get_by_role("link", name="slow 40").click()
        self.settled()
        self.assertEqual({m["status"] for m in self.stored()["messages"]}, {"done"})

    def test_search(self):
        self.send("a word about zebras")
        self.page.get_by_role("link", name="New chat").click()
        expect(self.page.locator(".message")).to_have_count(0)
        self.send("nothing of that kind")
        self.page.get_by_role("searchbox").fill("zebras SAID")
        expect(self.page.get_by_text("1 conversation", exact=True)).to_be_visible()
        self.page.locator(".hit a").click()
        expect(self.answers()).to_have_text("You said: a word about zebras")
        self.page.get_by_role("searchbox").fill("no such text")
        expect(self.page.get_by_text("Nothing found")).to_be_visible()

    def test_settings_of_a_chat(self):
        self.page.get_by_role("button", name="System prompt and sampling").click()
        self.page.get_by_label("System prompt", exact=True).press_sequentially("Be brief.")
        self.page.get_by_label("Temperature").fill("0.2")
        self.page.get_by_label("Top p").fill("3")
        expect(self.page.get_by_text("A number from 0 to 1")).to_be_visible()
        self.page.get_by_label("Stop at").fill("END\nSTOP")
        self.page.get_by_label("Thinking").select_option("off")
        self.page.keyboard.press("Escape")
        self.send("system")
        expect(self.answers()).to_have_text("System: Be brief.")
        asked = self.server.asked[0]
        self.assertEqual((asked["temperature"], asked["stop"], asked["chat_template_kwargs"]), (.2, ["END", "STOP"], {"enable_thinking": False}))
        self.assertNotIn("top_p", asked)
        self.page.get_by_role("link", name="New chat").click()
        expect(self.page.locator(".message")).to_have_count(0)
        self.send("system")
        expect(self.answers()).to_have_text("System: none")
        self.page.get_by_role("link", name="system").last.click()
        self.page.get_by_role("button", name="System prompt and sampling").click()
        expect(self.page.get_by_label("System prompt", exact=True)).to_have_value("Be brief.")
        expect(self.page.get_by_label("Temperature")).to_have_value("0.2")

    def test_length_and_thinking(self):
        self.send("think of a number")
        expect(self.page.locator(".thinking summary")).to_contain_text("Thought")
        expect(self.page.get_by_text("few would guess it")).to_have_count(0)
        self.page.locator(".thinking summary").click()
        expect(self.page.get_by_text("few would guess it")).to_be_visible()
        self.page.get_by_role("button", name="System prompt and sampling").click()
        self.page.get_by_label("Longest answer").fill("3")
        self.page.keyboard.press("Escape")
        self.send("a b c d e f g h")
        expect(self.page.get_by_text("the limit of tokens is reached")).to_be_visible()

    def test_export_and_import(self):
        self.send("to be kept")
        self.page.get_by_role("button", name="Answer again").click()
        self.settled()
        self.page.get_by_role("button", name="Settings", exact=True).click()
        with self.page.expect_download() as download:
            self.page.get_by_role("button", name="Export all").click()
        path = pathlib.Path(tempfile.mkdtemp()) / "export.json"
        download.value.save_as(path)
        saved = json.loads(path.read_text())
        self.assertEqual((saved["format"], len(saved["conversations"][0]["messages"])), ("jet.conversations", 3))
        before = self.stored()
        self.page.get_by_label("File to import").set_input_files(path)
        expect(self.page.get_by_text("Imported: 1 conversations, 3 messages.")).to_be_visible()
        self.assertEqual(self.stored(), before, "importing what is there changes nothing")
        fresh = self.browser.new_context()
        page = fresh.new_page()
        page.goto(self.server.url)
        page.get_by_role("button", name="Settings", exact=True).click()
        page.get_by_label("File to import").set_input_files(path)
        page.get_by_role("link", name="to be kept").click()
        expect(page.get_by_role("group", name="Branch 2 of 2")).to_be_visible()
        for bad, why in [("{", "not JSON"), ('{"a": 1}', "not an export"), ('{"format": "jet.conversations", "conversations": [3]}', "not a conversation"),
                         ('{"format": "jet.conversations", "conversations": [{"id": "x", "messages": [{"id": "m", "role": "system"}]}]}', "neither")]:
            path.write_text(bad)
            page.get_by_role("button", name="Settings", exact=True).click()
            page.get_by_label("File to import").set_input_files(path)
            expect(page.get_by_role("alert")).to_contain_text(why)
            page.keyboard.press("Escape")
        fresh.close()

    def test_rename_and_delete(self):
        self.send("old name")
        self.page.get_by_role("button", name="Commands for old name").click()
        expect(self.page.get_by_role("menuitem").first).to_be_focused()
        self.page.keyboard.press("Enter")
        self.page.get_by_role("textbox", name="Name of the conversation").fill("new name")
        self.page.keyboard.press("Enter")
        expect(self.page.get_by_role("heading", name="new name")).to_be_visible()
        self.page.get_by_role("button", name="Commands for new name").click()
        self.page.get_by_role("menuitem", name="Delete").click()
        expect(self.page.locator(".message")).to_have_count(0)
        expect(self.page.get_by_text("No conversations yet.")).to_be_visible()

    def test_themes(self):
        colour = "getComputedStyle(document.body).backgroundColor"
        self.page.emulate_media(color_scheme="dark")
        self.assertEqual(self.page.evaluate(colour), "rgb(21, 23, 26)")
        self.page.get_by_role("button", name="Settings", exact=True).click()
        self.page.get_by_label("Colours").select_option("light")
        self.assertEqual(self.page.evaluate(colour), "rgb(252, 252, 250)")
        self.page.reload()
        self.assertEqual(self.page.evaluate(colour), "rgb(252, 252, 250)")

    def test_machine_panel(self):
        self.send("one two three")
        self.send("four")
        panel = self.page.get_by_role("complementary", name="Machine")
        expect(panel).to_contain_text("to the first token")
        expect(panel.get_by_role("img", name="layers: gated delta net")).to_be_visible()
        expect(panel).to_contain_text("with full attention")
        expect(panel).to_contain_text("of the prompt from the cache")
        asked = lambda: sum(p == "/stats" for p in self.server.paths)
        n = asked()
        self.page.wait_for_timeout(2500)
        self.assertIn(asked() - n, (2, 3))
        self.page.get_by_role("button", name="Machine", exact=True).click()
        expect(panel).to_have_count(0)
        n = asked()
        self.page.wait_for_timeout(2000)
        self.assertLessEqual(asked() - n, 1)


class Failures(browser.PageTest):
    def retried(self, text, what):
        self.send(text)
        expect(self.page.get_by_role("alert")).to_contain_text(what)
        self.assertEqual(self.page.locator(".message.user").last.inner_text().strip(), text)

    def test_busy(self):
        self.retried("fail busy once", "It asks to wait 3 s")
        self.page.get_by_role("button", name="Try again").click()
        self.settled()
        expect(self.answers()).to_have_text("You said: fail busy once")
        expect(self.page.get_by_role("alert")).to_have_count(0)
        expect(self.page.get_by_role("group", name="Branch")).to_have_count(0)

    def test_server_error(self):
        self.retried("fail server", "The model ran out of memory.")

    def test_error_while_streaming(self):
        self.retried("fail middle", "The model gave no number. What came is kept.")
        expect(self.answers()).to_contain_text("You said")

    def test_connection_breaks(self):
        self.retried("fail broken", "The connection broke off. What came is kept.")
        self.page.get_by_role("button", name="Try again").click()
        expect(self.page.get_by_role("group", name="Branch 2 of 2")).to_be_visible()

    def test_no_answer(self):
        self.retried("fail empty", "The server does not answer.")

    def test_server_gone(self):
        self.context.set_offline(True)
        self.send("hello")
        expect(self.page.locator(".failed")).to_contain_text("The server does not answer.")
        self.context.set_offline(False)
        self.page.locator(".failed").get_by_role("button", name="Try again").click()
        expect(self.answers()).to_have_text("You said: hello")
        self.assertEqual(self.stored()["messages"][0]["conversation"], self.stored()["conversations"][0]["id"])


class Key(browser.PageTest):
    options = {"key": "secret"}

    def test_key_is_asked_for(self):
        expect(self.page.get_by_role("alert")).to_contain_text("The server wants a key.")
        self.send("hello")
        card = self.page.locator(".failed")
        expect(card).to_contain_text("The server wants a key.")
        card.get_by_label("Key of the server").fill("wrong")
        card.get_by_role("button", name="Use it and try again").click()
        expect(card).to_contain_text("does not take this key")
        card.get_by_label("Key of the server").fill("secret")
        card.get_by_role("button", name="Use it and try again").click()
        self.settled()
        expect(self.answers()).to_have_text("You said: hello")
        self.page.reload()
        expect(self.answers()).to_have_count(1)  # the conversation is read again: only then is a new answer the second
        self.send("again")
        expect(self.answers().last).to_have_text("You said: again")


class NoTemplate(browser.PageTest):
    options = {"template": False}

    def test_the_model_goes_on_with_the_text(self):
        expect(self.page.get_by_text("it goes on with what you write")).to_be_visible()
        self.send("Once")
        expect(self.answers()).to_have_text("upon a time")
        self.send("there")
        self.assertEqual([b["prompt"] for b in self.server.asked], ["Once", "Once upon a time\nthere"])


class Phone(browser.PageTest):
    def setUp(self):
        super().setUp()
        self.context.close()
        self.context = self.browser.new_context(**self.playwright.devices["Pixel 5"])
        self.page = self.open()

    def test_phone(self):
        box = self.page.get_by_role("textbox", name="Message")
        box.fill("table please")
        self.page.get_by_role("button", name="Send", exact=True).tap()
        self.settled()
        wide = self.page.evaluate("document.documentElement.scrollWidth > innerWidth")
        self.assertFalse(wide, "the page is not wider than the phone")
        expect(self.page.get_by_role("navigation", name="Conversations")).to_be_hidden()
        self.page.get_by_role("button", name="Conversations").tap()
        expect(self.page.get_by_role("link", name="table please")).to_be_visible()
        self.page.get_by_role("link", name="New chat").tap()
        expect(self.page.get_by_role("navigation", name="Conversations")).to_be_hidden()
        self.page.get_by_role("button", name="Machine", exact=True).tap()
        expect(self.page.get_by_role("complementary", name="Machine")).to_contain_text("jet-demo")
        self.page.get_by_role("complementary", name="Machine").get_by_role("button", name="Close").tap()
        for name in ("System prompt and sampling",):
            self.page.get_by_role("button", name=name).tap()
            self.assertFalse(self.page.evaluate("document.documentElement.scrollWidth > innerWidth"))
        box.press("Enter")


class Long(browser.PageTest):
    def test_a_long_answer_stays_smooth(self):
        self.page.evaluate("""() => {
            window.slowest = 0; window.frames = 0;
            let last = performance.now();
            const frame = (now) => { window.slowest = Math.max(window.slowest, now - last); last = now; ++window.frames; requestAnimationFrame(frame); };
            requestAnimationFrame(frame);
            new MutationObserver((list) => { window.drawn = (window.drawn || 0) + list.length; }).observe(document.body, {subtree: true, childList: true, characterData: true});
        }""")
        start = time.time()
        self.send("long 10000", wait=False)
        first = self.answers().first.locator("h4").first
        first.wait_for()
        first.evaluate("e => { e.mark = 1; }")
        self.page.get_by_role("textbox", name="Message").press_sequentially("typed while it streams")
        self.settled()
        print(f"10,000 tokens in {time.time() - start:.1f} s, slowest frame {self.page.evaluate('slowest'):.0f} ms, {self.page.evaluate('frames')} frames")
        self.assertEqual(first.evaluate("e => e.mark"), 1, "a block that stands is not drawn again")
        expect(self.page.get_by_role("textbox", name="Message")).to_have_value("typed while it streams")
        self.assertEqual(self.stored()["messages"][-1]["stats"]["tokens"] if self.stored()["messages"][-1]["role"] == "assistant" else 10000, 10000)


if __name__ == "__main__":
    browser.main()
