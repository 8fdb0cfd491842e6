//! The page in a real Chromium: what it shows, asks for and lets itself be told.

use std::fs;
use std::path::PathBuf;

use failgate_lab::browser::{Browser, Tab, View};
use failgate_lab::{chromium, workspace};
use serde_json::{Value, json};

use super::input::{FAILED, FINE, HOSTILE, Many, hostile};
use super::{corpus, lines, page};

const WIDE: View = View { width: 1280, dark: false, script: true };

/// Every way to look at a page.
fn views() -> impl Iterator<Item = View> {
    let widths = [360, 800, 1280].into_iter();
    widths.flat_map(|width| {
        let schemes = [false, true].into_iter();
        schemes.flat_map(move |dark| [true, false].map(move |script| View { width, dark, script }))
    })
}

fn started() -> Browser {
    let chromium =
        chromium::find(&|said| eprintln!("{said}")).unwrap_or_else(|error| panic!("{error}"));
    Browser::start(&chromium).unwrap_or_else(|error| panic!("{error}"))
}

/// Where pages and their pictures are, to be looked at.
fn folder() -> PathBuf {
    let folder = workspace().join("target/report");
    fs::create_dir_all(&folder).unwrap();
    folder
}

fn written(name: &str, page: &str) -> PathBuf {
    let file = folder().join(format!("{name}.html"));
    fs::write(&file, page).unwrap();
    file
}

fn ask(tab: &mut Tab<'_>, expression: &str) -> Value {
    tab.evaluate(expression).unwrap_or_else(|error| panic!("{error}"))
}

/// Texts whose colour is not told from their ground by 4.5:1 (WCAG 2, level AA).
const UNREADABLE: &str = r#"(() => {
  const parts = (colour) => colour.match(/[\d.]+/g).map(Number);
  const luminance = (colour) => {
    const [r, g, b] = parts(colour).slice(0, 3).map((value) => value / 255)
      .map((value) => (value <= 0.04045 ? value / 12.92 : ((value + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const ground = (element) => {
    for (let it = element; it; it = it.parentElement) {
      const colour = getComputedStyle(it).backgroundColor;
      if (parts(colour)[3] !== 0) return colour;
    }
    return "rgb(255, 255, 255)";
  };
  const unreadable = [];
  let texts = 0;
  for (const element of document.querySelectorAll("body *")) {
    const own = Array.from(element.childNodes).some((it) => it.nodeType === 3 && it.data.trim());
    if (!own || !element.checkVisibility() || element.closest("svg, script")) continue;
    texts += 1;
    const [one, other] = [luminance(getComputedStyle(element).color), luminance(ground(element))];
    const ratio = (Math.max(one, other) + 0.05) / (Math.min(one, other) + 0.05);
    if (ratio < 4.5) unreadable.push(`${element.tagName}.${element.className}: ${ratio}`);
  }
  return [texts, unreadable.slice(0, 5)];
})()"#;

/// Elements that reach out of the page to the right.
const OVERFLOWING: &str = r#"(() => {
  const wide = Array.from(document.querySelectorAll("body *"))
    .filter((it) => it.getBoundingClientRect().right > innerWidth + 0.5 && !it.closest(".skip"));
  return [document.documentElement.scrollWidth <= innerWidth,
    wide.slice(0, 5).map((it) => `${it.tagName}.${it.className} ${it.textContent.slice(0, 40)}`)];
})()"#;

#[test]
fn the_page_is_readable_in_every_view_and_asks_nobody_for_anything() {
    let mut browser = started();
    let log = lines(&corpus())
        + FAILED
        + "\n"
        + &hostile(&"long ".repeat(120))
        + &hostile(&"x".repeat(600))
        + "GARBAGE";
    for (name, log) in [("corpus", log.as_str()), ("one", FAILED), ("none", FINE)] {
        let file = written(name, &page(log));
        for view in views() {
            let mut tab = browser.open(&file, view).unwrap_or_else(|error| panic!("{error}"));
            let View { width, dark, script } = view;
            let theme = if dark { "dark" } else { "light" };
            if script {
                let picture = folder().join(format!("{name}-{width}-{theme}.png"));
                tab.picture(&picture, 4000.0).unwrap();
                assert!(fs::metadata(picture).unwrap().len() > 5_000);
            }
            assert_eq!(ask(&mut tab, OVERFLOWING), json!([true, []]), "{name} {view:?}");
            let readable = ask(&mut tab, UNREADABLE);
            assert_eq!(readable[1], json!([]), "{name} {view:?}");
            assert!(
                readable[0].as_u64().unwrap() > if name == "corpus" { 1000 } else { 4 },
                "{readable}"
            );
            let ground =
                ask(&mut tab, "getComputedStyle(document.documentElement).backgroundColor");
            assert_eq!(ground, if dark { "rgb(15, 19, 23)" } else { "rgb(246, 247, 249)" });
            let seen = tab.seen();
            assert_eq!(seen.requests, [format!("file://{}", file.display())], "{name} {view:?}");
            assert!(
                seen.console.is_empty() && seen.dialogs.is_empty(),
                "{name} {view:?}: {seen:?}"
            );
            tab.close().unwrap();
        }
    }
}

#[test]
fn the_policy_forbids_what_a_page_could_be_made_to_do() {
    let mut browser = started();
    let file = written("policy", &page(FAILED));
    let mut tab = browser.open(&file, WIDE).unwrap();
    ask(
        &mut tab,
        "const script = document.createElement('script');
         script.textContent = 'window.hacked = true';
         document.body.append(script);
         const frame = document.createElement('iframe');
         frame.srcdoc = '<script>parent.hacked = true</script>';
         document.body.append(frame);
         document.body.insertAdjacentHTML('beforeend', '<p id=styled style=\"color: red\" onclick=\"hacked = true\">x</p>');
         document.getElementById('styled').click();
         new Image().src = 'file:///etc/hostname';",
    );
    assert_eq!(ask(&mut tab, "window.hacked === undefined"), true);
    assert_eq!(
        ask(&mut tab, "getComputedStyle(document.getElementById('styled')).color"),
        "rgb(26, 31, 37)"
    );
    // The console is heard, or the other tests would hear nothing either.
    let violations =
        tab.seen().console.iter().filter(|said| said.contains("Content Security Policy"));
    assert!(violations.count() >= 3, "{:?}", tab.seen());
    assert_eq!(tab.seen().blocked, ["csp"], "{:?}", tab.seen());
}

#[test]
fn the_search_leaves_the_records_that_have_all_the_words() {
    let mut browser = started();
    let file = written("search", &page(&lines(&corpus())));
    let mut tab = browser.open(&file, WIDE).unwrap();
    let rows = "Array.from(document.querySelectorAll('.records tbody'))";
    let visible = format!(
        "{rows}.filter((it) => it.checkVisibility()).map((it) => it.querySelector('.cause').textContent)"
    );
    let all = ask(&mut tab, &format!("{visible}.length"));
    assert_eq!(all, corpus().len());
    // A slash brings the box, and does not stand in it.
    tab.press("/").unwrap();
    assert_eq!(ask(&mut tab, "document.activeElement.id + document.activeElement.value"), "words");
    tab.typed("Connection_REFUSED ").unwrap();
    let refused = corpus()
        .iter()
        .filter(|it| it.to_string().to_lowercase().contains("connection_refused"))
        .count();
    let found = ask(&mut tab, &visible);
    assert_eq!(found.as_array().unwrap().len(), refused);
    assert_eq!(
        ask(&mut tab, "document.getElementById('found').textContent"),
        format!("{refused} of the {all} shown")
    );
    tab.typed("no-such-word").unwrap();
    assert_eq!(ask(&mut tab, &visible), json!([]));
    // A link in the explanation looks for its cause, and without words all are there again.
    ask(&mut tab, "document.querySelector('a.find[data-words=\"route_not_found\"]').click()");
    let found = ask(&mut tab, &visible);
    assert!(found.as_array().unwrap().iter().any(|cause| cause == "route_not_found"), "{found}");
    assert!(found.as_array().unwrap().len() < 10, "{found}");
    ask(
        &mut tab,
        "const box = document.getElementById('words'); box.value = ''; box.dispatchEvent(new Event('input'))",
    );
    assert_eq!(ask(&mut tab, &format!("{visible}.length")), all);
    assert!(tab.seen().console.is_empty(), "{:?}", tab.seen());
}

#[test]
fn without_javascript_only_the_search_is_missing() {
    let mut browser = started();
    let file = written("no-script", &page(&(lines(&corpus()) + "GARBAGE")));
    let visible = "Array.from(document.querySelectorAll('section, tbody, article, h1, nav, #search, figure, footer'))
        .filter((it) => it.checkVisibility() && it.getBoundingClientRect().height > 0)
        .map((it) => it.tagName + it.id)";
    let mut seen = |script| {
        let mut tab = browser.open(&file, View { script, ..WIDE }).unwrap();
        let seen = ask(&mut tab, visible);
        // A folded text opens without a script.
        let opened = ask(
            &mut tab,
            "const more = document.querySelector('.more details'); more.querySelector('summary').click();
             more.querySelector('pre').checkVisibility()",
        );
        assert_eq!(opened, true);
        tab.close().unwrap();
        seen
    };
    let (with, mut without) = (seen(true), seen(false));
    assert_eq!(with.as_array().unwrap().iter().filter(|it| *it == "FORMsearch").count(), 1);
    assert!(with.as_array().unwrap().len() > 200, "{with}");
    let at = with.as_array().unwrap().iter().position(|it| it == "FORMsearch").unwrap();
    without.as_array_mut().unwrap().insert(at, "FORMsearch".into());
    assert_eq!(with, without);
}

/// The same records with a text that says nothing lead to the same elements.
#[test]
fn a_hostile_log_makes_no_element_and_no_dialog() {
    let mut browser = started();
    let elements = "Array.from(document.querySelectorAll('*')).map((it) =>
        it.tagName + Array.from(it.attributes).map((it) => it.name).sort())";
    // As many bytes, so that the same texts are folded.
    let harmless = "x".repeat(HOSTILE.len());
    let mut of = |name: &str, text: &str| {
        let file = written(name, &page(&hostile(text)));
        let mut tab = browser.open(&file, WIDE).unwrap_or_else(|error| panic!("{error}"));
        let found = ask(&mut tab, elements);
        assert_eq!(ask(&mut tab, "document.scripts.length"), 1);
        assert!(tab.seen().dialogs.is_empty() && tab.seen().console.is_empty(), "{:?}", tab.seen());
        assert_eq!(tab.seen().requests.len(), 1, "{:?}", tab.seen());
        tab.close().unwrap();
        found
    };
    let (hostile, harmless) = (of("hostile", HOSTILE), of("harmless", &harmless));
    assert!(hostile.as_array().unwrap().len() > 200);
    assert_eq!(hostile, harmless);
}

#[test]
fn a_page_of_a_hundred_thousand_records_loads_whole() {
    let many = Many::page();
    let mut browser = started();
    for width in [360, 1280] {
        let mut tab = browser.open(&written("many", &many.page), View { width, ..WIDE }).unwrap();
        let loaded = ask(
            &mut tab,
            "[document.readyState, document.querySelectorAll('.records tbody').length, document.getElementById('search').hidden]",
        );
        assert_eq!(loaded, json!(["complete", 1000, false]));
        assert_eq!(ask(&mut tab, OVERFLOWING), json!([true, []]));
        let elements = ask(&mut tab, "document.querySelectorAll('*').length");
        assert!(elements.as_u64().unwrap() < 60_000, "{elements}");
        tab.picture(&folder().join(format!("many-{width}-light.png")), 4000.0).unwrap();
        tab.close().unwrap();
    }
}

#[test]
fn the_page_can_be_heard_and_used_with_a_keyboard() {
    let mut browser = started();
    let file = written("heard", &page(&(lines(&corpus()) + FAILED + "\n" + FAILED)));
    let mut tab = browser.open(&file, WIDE).unwrap();
    assert_eq!(ask(&mut tab, "document.documentElement.lang"), "en");
    let levels = ask(
        &mut tab,
        "Array.from(document.querySelectorAll('h1,h2,h3,h4,h5,h6')).map((it) => +it.tagName[1])",
    );
    let levels: Vec<u64> =
        levels.as_array().unwrap().iter().map(|it| it.as_u64().unwrap()).collect();
    assert_eq!(levels.iter().filter(|level| **level == 1).count(), 1);
    assert!(levels[0] == 1 && levels.windows(2).all(|pair| pair[1] <= pair[0] + 1), "{levels:?}");
    let mute = ask(
        &mut tab,
        "Array.from(document.querySelectorAll('svg'))
            .filter((it) => it.getAttribute('aria-hidden') !== 'true' && !(it.getAttribute('role') === 'img' && it.getAttribute('aria-label')))
            .length",
    );
    assert_eq!(mute, 0);
    let unlabelled = ask(
        &mut tab,
        "Array.from(document.querySelectorAll('section, nav, table.records'))
            .filter((it) => !it.closest('.explained') && !it.getAttribute('aria-label') && !document.getElementById(it.getAttribute('aria-labelledby')))
            .length + Array.from(document.querySelectorAll('input')).filter((it) => it.labels.length === 0).length",
    );
    assert_eq!(unlabelled, 0);
    // On a narrow page a row is a card; it is heard as a row all the same.
    let focused = "(() => { const it = document.activeElement; const box = it.getBoundingClientRect();
        return [it.className, it.textContent, box.left >= 0 && box.top >= 0, getComputedStyle(it).outlineStyle] })()";
    tab.press("Tab").unwrap();
    assert_eq!(ask(&mut tab, focused), json!(["skip", "Skip to the records", true, "solid"]));
    tab.press("Tab").unwrap();
    assert_eq!(ask(&mut tab, focused)[2], true);
    tab.close().unwrap();
    let mut tab = browser.open(&file, View { width: 360, ..WIDE }).unwrap();
    let roles = "Array.from(document.querySelectorAll('.records, .ranking')).flatMap((table) =>
        [table, ...table.querySelectorAll('thead, tbody, tr, th, td')]).filter((it) => !it.getAttribute('role')).length";
    assert_eq!(ask(&mut tab, roles), 0);
    let row = "getComputedStyle(document.querySelector('.records tbody tr')).display";
    assert_eq!(ask(&mut tab, row), "block");
}
