use super::*;

fn chat(parts: &[(Role, &str)]) -> Vec<Message> {
    parts.iter().map(|&(role, content)| Message::new(role, content)).collect()
}

fn several() -> Vec<Vec<Message>> {
    use Role::{Assistant, System, User};
    vec![
        chat(&[(User, "CD3D, CD3E")]),
        chat(&[(System, "Name the type."), (User, "γδ\n\n<b>")]),
        chat(&[
            (User, "a"),
            (Assistant, "<think>\nx\n</think>\n\nT cell"),
            (User, "b"),
            (Assistant, "</think>c"),
        ]),
        chat(&[(User, "a"), (System, "later"), (Assistant, "\nno thoughts"), (User, "")]),
    ]
}

/// The part of the published templates that renders messages; what they say about tools is left out.
const QWEN2_5: &str = r#"{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
{%- else %}
    {{- '<|im_start|>system\nYou are Qwen, created by Alibaba Cloud. You are a helpful assistant.<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) or (message.role == "assistant" and not message.tool_calls) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n' }}
{%- endif %}
"#;
const QWQ: &str = r#"{%- if messages[0]['role'] == 'system' %}
    {{- '<|im_start|>system\n' + messages[0]['content'] + '<|im_end|>\n' }}
{%- endif %}
{%- for message in messages %}
    {%- if (message.role == "user") or (message.role == "system" and not loop.first) %}
        {{- '<|im_start|>' + message.role + '\n' + message.content + '<|im_end|>' + '\n' }}
    {%- elif message.role == "assistant" and not message.tool_calls %}
        {%- set content = message.content %}
        {%- if not loop.last %}
            {%- set content = message.content.split('</think>')[-1].lstrip('\n') %}
        {%- endif %}
        {{- '<|im_start|>' + message.role + '\n' + content + '<|im_end|>' + '\n' }}
    {%- endif %}
{%- endfor %}
{%- if add_generation_prompt %}
    {{- '<|im_start|>assistant\n<think>\n' }}
{%- endif %}
"#;

#[test]
fn built_in_renderings_are_those_of_the_templates() {
    for (built_in, template) in [(Chat::qwen2_5(), QWEN2_5), (Chat::qwq(), QWQ)] {
        let template = Chat::from_template(template, "", "<|im_end|>").unwrap();
        for messages in several() {
            for answer in [false, true] {
                assert_eq!(
                    built_in.render(&messages, answer).unwrap(),
                    template.render(&messages, answer).unwrap()
                );
            }
        }
    }
}

#[test]
fn what_templates_of_other_families_use_works() {
    let template = r#"{{ bos_token }}{% if messages[0]['role'] == 'system' %}{% set system = messages[0].content|trim %}{% set messages = messages[1:] %}{% else %}{% set system = '' %}{% endif %}
{%- set ns = namespace(turn=0, is_first=true) %}
{%- for m in messages %}
{%- if m.role not in ['user', 'assistant'] %}{{ raise_exception('only user and assistant, not ' + m.role) }}{% endif %}
{%- if m.role == 'user' %}{%- set ns.turn = ns.turn + 1 %}[{{ ns.turn }}] {% if ns.is_first and system is defined and system|length > 0 %}{{ system }} | {% endif %}{%- set ns.is_first = false %}{{ m.content.strip() }} {# a comment with + and ~ #}
{%- else %}{% if m.content.startswith('x') %}{% continue %}{% endif %} {{ m['content'].upper() ~ eos_token }}{% endif %}
{%- endfor %}{{ {'a': [1, 'é<'], 'b': none}|tojson }}"#;
    let template = Chat::from_template(template, "<s>", "</s>").unwrap();
    use Role::{Assistant, System, User};
    let messages =
        chat(&[(System, " sys "), (User, " a "), (Assistant, "b"), (User, "c"), (Assistant, "xyz")]);
    let text = template.render(&messages, true).unwrap();
    assert_eq!(text, "<s>[1] sys | a  B</s>[2] c {\"a\": [1, \"é<\"], \"b\": null}");
    let error = template.render(&chat(&[(User, "a"), (System, "b")]), false).unwrap_err();
    let reason = std::error::Error::source(&error).unwrap().to_string();
    assert!(reason.contains("only user and assistant, not system"), "{reason}");
    assert!(error.help().unwrap().contains("system role"));
}

#[test]
fn templates_that_ask_for_more_than_messages_fail() {
    let render = |template: &str| {
        Chat::from_template(template, "", "").and_then(|chat| chat.render(&several()[0], true)).unwrap_err()
    };
    for template in [
        "{{ strftime_now('%Y') }}",
        "{{ messages.__class__.mro() }}",
        "{{ x|attr('y') }}",
        "{{ 'a'.format(1) }}",
    ] {
        assert!(matches!(render(template), Error::Render { .. }), "{template}");
    }
    assert!(matches!(render("{% if %}"), Error::Parse { .. }));
    assert!(matches!(render("{% generation %}"), Error::Parse { .. }));
    assert!(render("{% if %}").help().unwrap().contains("built-in"));
}

#[test]
fn bombs_go_off_in_no_memory_and_little_time() {
    let refused = [
        "{% set x = 'aa' %}{% for i in range(99) %}{% set x = x + x %}{% endfor %}{{ x }}",
        "{% set ns = namespace(x='aa') %}{% for i in range(99) %}{% set ns.x = ns.x ~ ns.x %}{% endfor %}",
        "{% set x = 'a' * 1000000000 %}",
        "{{ 'a' * 1000000000 }}",
        "{% set x = [1] %}",
        "{% for a in [x, x] %}{% for b in [a, a] %}{{ b }}{% endfor %}{% endfor %}",
        "{% for a in (x, x) %}{% endfor %}",
        "{% set x = {'a': y, 'b': y} %}",
        "{% set x %}{{ x }}{{ x }}{% endset %}",
        "{% macro f(x) %}{{ f(x ~ x) }}{% endmacro %}{{ f('a') }}",
        "{% include 'etc' %}",
        "{% with x = y + y %}{% endwith %}",
        "{% filter upper %}a{% endfilter %}",
        "{% set x = messages[0].content.replace('a', 'aaaaaaaaa') %}",
        "{% for i in messages %}\n{%- set x = x\n+ x %}{% endfor %}",
        "{% for i in messages %}{% set x = '}}' + x + '%}' %}{% endfor %}",
    ];
    for template in refused {
        let error = Chat::from_template(template, "", "").unwrap_err();
        assert!(matches!(error, Error::NotAllowed { .. }), "{template}: {error}");
    }
    assert_eq!(
        Chat::from_template("a\n\n{% set x = 'a' * 9 %}", "", "").unwrap_err().to_string(),
        "the chat template has a product in line 3, which is not allowed here"
    );
    let unrolled: String = (0..40).map(|i| format!("{{% set x{} = x{i} + x{i} %}}", i + 1)).collect();
    assert!(matches!(Chat::from_template(&unrolled, "", ""), Err(Error::NotAllowed { .. })));
    let long = "a".repeat(100_000);
    assert!(matches!(Chat::from_template(&long, "", ""), Err(Error::TemplateTooLong { .. })));
    let wide = "{% for i in range(9999) %}{% for j in range(9999) %}{{ messages }}{% endfor %}{% endfor %}";
    let messages = chat(&[(Role::User, &"a".repeat(100_000))]);
    assert!(matches!(
        Chat::from_template(wide, "", "").unwrap().render(&messages, true),
        Err(Error::Render { .. })
    ));
    let deep = format!("{{{{ {}1{} }}}}", "(".repeat(20_000), ")".repeat(20_000));
    assert!(matches!(Chat::from_template(&deep, "", ""), Err(Error::Parse { .. })));
    let messages = chat(&[(Role::User, &"a".repeat(MAX_MESSAGE_BYTES + 1))]);
    assert!(matches!(Chat::qwq().render(&messages, true), Err(Error::TooLong { .. })));
}

#[test]
fn a_folder_gives_its_own_template() {
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| std::fs::write(folder.path().join(name), text).unwrap();
    let render = || Chat::open(folder.path()).unwrap().map(|chat| chat.render(&several()[0], false).unwrap());
    assert_eq!(render(), None);
    write("tokenizer_config.json", r#"{"bos_token": {"content": "<s>"}}"#);
    assert_eq!(render(), None, "a base model");
    write(
        "tokenizer_config.json",
        r#"{"bos_token": {"content": "<s>"}, "chat_template": "{{ bos_token }}one"}"#,
    );
    assert_eq!(render().unwrap(), "<s>one");
    let several =
        r#"{"chat_template": [{"name": "tools", "template": "x"}, {"name": "default", "template": "two"}]}"#;
    write("tokenizer_config.json", several);
    assert_eq!(render().unwrap(), "two");
    write("chat_template.jinja", "three {{ messages|length }}");
    assert_eq!(render().unwrap(), "three 1");
    std::fs::remove_file(folder.path().join("chat_template.jinja")).unwrap();
    write("tokenizer_config.json", r#"{"chat_template": [{"name": "tools", "template": "x"}]}"#);
    assert!(matches!(Chat::open(folder.path()), Err(Error::NoDefault { .. })));
    write("tokenizer_config.json", "{");
    assert!(matches!(Chat::open(folder.path()), Err(Error::Json { .. })));
}

#[test]
fn cellreasoner_takes_out_think_and_puts_one_at_the_end() {
    let messages =
        chat(&[(Role::System, "place it within the <think></think> tag."), (Role::User, "GNLY, NKG7")]);
    let rendered = Chat::qwq().render(&messages, true).unwrap();
    let direct = cellreasoner(&rendered, false);
    assert!(
        direct.ends_with("tag.<|im_end|>\n<|im_start|>user\nGNLY, NKG7<|im_end|>\n<|im_start|>assistant\n\n"),
        "{direct}"
    );
    assert!(direct.contains("within the </think> tag"));
    assert_eq!(cellreasoner(&rendered, true), format!("{direct}<think> "));
}
