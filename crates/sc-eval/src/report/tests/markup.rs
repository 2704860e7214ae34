//! The page as a browser would take it apart.

use super::*;

/// Each tag as its name and the names of its attributes, in order, with the attributes' values beside.
struct Tag {
    name: String,
    attributes: Vec<(String, String)>,
}

/// Tags of a page, by the rules of HTML for quotes; the content of `style` and `script` is skipped, as a browser does.
fn tags(html: &str) -> Vec<Tag> {
    let mut tags = Vec::new();
    let mut rest = html;
    while let Some(start) = rest.find('<') {
        rest = &rest[start + 1..];
        let mut quote = None;
        let end = rest.char_indices().find(|&(_, c)| {
            match (quote, c) {
                (None, '"' | '\'') => quote = Some(c),
                (Some(q), c) if c == q => quote = None,
                _ => {}
            }
            quote.is_none() && c == '>'
        });
        let end = end.expect("a tag that begins also ends").0;
        tags.push(tag(&rest[..end]));
        rest = &rest[end + 1..];
        if let Some(raw) = tags.last().filter(|tag| ["style", "script"].contains(&tag.name.as_str())) {
            rest = &rest[rest.find(&format!("</{}", raw.name)).expect("what begins also ends")..];
        }
    }
    tags
}

fn tag(text: &str) -> Tag {
    let name_end = text.find(|c: char| c.is_whitespace()).unwrap_or(text.len());
    let (name, mut rest) = text.split_at(name_end);
    let mut attributes = Vec::new();
    while let Some(start) = rest.find(|c: char| !c.is_whitespace()) {
        rest = &rest[start..];
        let end = rest.find(|c: char| c.is_whitespace() || c == '=').unwrap_or(rest.len());
        let attribute = rest[..end].to_owned();
        rest = &rest[end..];
        let mut value = String::new();
        if let Some(after) = rest.strip_prefix('=') {
            let after = after.strip_prefix('"').expect("every value is in double quotes");
            let close = after.find('"').expect("quotes are closed");
            value = after[..close].to_owned();
            rest = &after[close + 1..];
        }
        attributes.push((attribute, value));
    }
    Tag { name: name.to_ascii_lowercase(), attributes }
}

/// Names of tags and attributes in order; places where a line may break depend on the text.
fn shape(html: &str) -> Vec<String> {
    let shape = |tag: Tag| {
        let attributes: Vec<_> = tag.attributes.into_iter().map(|(name, _)| name).collect();
        format!("{} {}", tag.name, attributes.join(" "))
    };
    tags(html).into_iter().filter(|tag| tag.name != "wbr").map(shape).collect()
}

/// A report in which every text that comes from outside is `text`, as far as names may repeat.
fn made_of(text: &str) -> Report {
    let types = [1, 2, 3].map(|i| format!("{text}{i}"));
    let models = [1, 2, 3].map(|i| format!("{text}{i}"));
    let mut report =
        sample::named(&types.each_ref().map(|t| t.as_str()), &models.each_ref().map(|m| m.as_str()));
    report.sections = sample::sections(text);
    report.answer = Some(text.to_owned());
    let [name, value, note] = [text; 3].map(str::to_owned);
    report.key_figures = vec![KeyFigure { name, value, note }];
    report.title = text.to_owned();
    report.dataset = text.to_owned();
    report.cells.iter_mut().for_each(|cell| *cell = text.to_owned());
    report.protocol = vec![(text.to_owned(), text.to_owned())];
    report.notes = vec![text.to_owned()];
    let manifest = &mut report.manifest;
    manifest.program = text.to_owned();
    manifest.version = text.to_owned();
    manifest.command = vec![text.to_owned()];
    manifest.parameter(text, text);
    manifest.crates.push((text.to_owned(), text.to_owned()));
    manifest.cells_dropped[0].0 = text.to_owned();
    manifest.started = Some(text.to_owned());
    manifest.durations_seconds.push((text.to_owned(), 1.0));
    let sha256 = text.to_owned();
    manifest.inputs.push(crate::manifest::InputFile { path: text.to_owned(), bytes: 1, sha256 });
    report
}

#[test]
fn no_text_changes_the_markup_of_the_page() {
    let plain = shape(&page_of(&made_of("plain text ")));
    assert!(plain.len() > 300);
    let payloads = payloads::all();
    assert!(payloads.len() >= 100, "{}", payloads.len());
    for payload in payloads {
        let page = page_of(&made_of(&payload));
        assert_eq!(shape(&page), plain, "{payload:?}");
    }
}

#[test]
fn no_text_becomes_markup_in_markdown_nor_breaks_the_json() {
    for payload in payloads::all() {
        let report = made_of(&payload);
        let facts = Facts::new(&report);
        let (sections, _) = report.all_sections();
        let markdown = markdown::page(&report, facts.as_ref(), &sections);
        assert!(!markdown.contains('<') && !markdown.replace("\\]", "").contains("]("), "{payload:?}");
        let rows = markdown
            .lines()
            .filter(|line| line.starts_with("| "))
            .map(|line| line.replace("\\\\", "").replace("\\|", "").matches('|').count());
        let rows: Vec<usize> = rows.collect();
        assert_eq!(rows[..8], [7, 7, 7, 7, 6, 6, 6, 6], "{payload:?}");
        // Heads and rows of the sections: table, curves, heatmap, reliability, findings.
        assert_eq!(rows[8..], [3, 3, 3, 4, 4, 4, 4, 4, 4, 4, 4, 4, 6, 6, 4, 4], "{payload:?}");
        let json: serde_json::Value =
            serde_json::from_slice(&json::document(&report, facts.as_ref(), &sections, &[])).unwrap();
        assert_eq!(json["title"], payload);
        assert_eq!(json["models"][1]["name"], format!("{payload}2"));
    }
}

#[test]
fn any_text_can_be_drawn() {
    for payload in
        ["$\\frac{a}{b}$ $", "\u{202e}\u{0}\n\t", "γδ T cells, 細胞, 🦠", "<b>", &"long ".repeat(4_000)]
    {
        let report = made_of(payload);
        assert!(report.render().is_ok(), "{payload:?}");
    }
}

#[test]
fn the_page_asks_for_nothing_and_runs_only_its_own_script() {
    let mut report = sample::report();
    report.sections = sample::sections("of a kind ");
    let page = report.page().unwrap();
    let tags = tags(&page);
    let (mut pictures, mut links, mut scripts) = (0, 0, 0);
    for tag in &tags {
        let active =
            ["link", "iframe", "object", "embed", "base", "form", "audio", "video", "use", "template"];
        assert!(!active.contains(&tag.name.as_str()), "{}", tag.name);
        if tag.name == "script" {
            let data = [("type".to_owned(), "application/json".to_owned())];
            assert!(tag.attributes.is_empty() || tag.attributes[..1] == data, "{:?}", tag.attributes);
            scripts += usize::from(tag.attributes.is_empty());
        }
        for (name, value) in &tag.attributes {
            assert!(!name.starts_with("on") && name != "style", "{name}");
            assert!(!["srcset", "action", "background", "poster", "ping"].contains(&name.as_str()));
            match name.as_str() {
                "src" => {
                    assert!(value.starts_with("data:image/png;base64,"));
                    pictures += 1;
                }
                "href" => {
                    let to = value.strip_prefix('#').expect("links stay on the page");
                    let id = format!("id=\"{to}\"");
                    assert!(tag.name == "a" && page.matches(&id).count() == 1, "{value}");
                    links += 1;
                }
                _ => {}
            }
        }
    }
    assert_eq!((pictures, links, scripts), (4, 14, 1));
    let mut ids: Vec<_> = tags
        .iter()
        .flat_map(|tag| &tag.attributes)
        .filter(|(name, _)| name == "id")
        .map(|(_, id)| id)
        .collect();
    let n_ids = ids.len();
    ids.sort();
    ids.dedup();
    assert_eq!(ids.len(), n_ids, "no id twice");
}

#[test]
fn the_policy_names_the_style_sheet_and_the_script_by_their_hashes() {
    use base64::Engine;
    use sha2::Digest;
    let page = sample::report().page().unwrap();
    let tags = tags(&page);
    let policy = tags.iter().find(|tag| tag.name == "meta" && tag.attributes[0].0 == "http-equiv").unwrap();
    let policy = policy.attributes[1].1.replace("&#x27;", "'").replace("&#x2b;", "+").replace("&#x2f;", "/");
    let between = |open: &str, close: &str| {
        let start = page.find(open).unwrap() + open.len();
        &page[start..start + page[start..].find(close).unwrap()]
    };
    let hash = |text: &str| base64::engine::general_purpose::STANDARD.encode(sha2::Sha256::digest(text));
    let (style, script) = (between("<style>", "</style>"), between("<script>", "</script>"));
    let expected = format!(
        "default-src 'none'; style-src 'sha256-{}'; script-src 'sha256-{}'; img-src data:; base-uri 'none'; form-action \
         'none'",
        hash(style),
        hash(script)
    );
    assert_eq!(policy, expected);
    assert!(!style.contains("url(") && !style.contains("@import") && !style.contains("http"));
    for sink in
        ["innerHTML", "outerHTML", "insertAdjacent", "document.write", "eval(", "Function(", "http", "fetch"]
    {
        assert!(!script.contains(sink), "{sink}");
    }
}
