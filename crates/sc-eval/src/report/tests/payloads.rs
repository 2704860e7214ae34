//! Texts that have broken other pages: ways out of text, attributes, comments, style and JSON.

/// Each attack in each of several wrappings.
pub(super) fn all() -> Vec<String> {
    let attacks = [
        "<script>alert(1)</script>",
        "</script><script>alert(1)</script>",
        "<img src=x onerror=alert(1)>",
        "<svg onload=alert(1)>",
        "<svg><script>alert(1)</script></svg>",
        "<iframe src=javascript:alert(1)></iframe>",
        "<body onload=alert(1)>",
        "<a href=\"javascript:alert(1)\">x</a>",
        "<details open ontoggle=alert(1)>",
        "<math><mtext></p><img src onerror=alert(1)>",
        "</style><script>alert(1)</script>",
        "</title><script>alert(1)</script>",
        "--><script>alert(1)</script><!--",
        "]]><script>alert(1)</script>",
        "onmouseover=alert(1) x=",
        "javascript:alert(1)",
        "{{ 7 * 7 }}",
        "{% for x in range(9) %}x{% endfor %}",
        "{# comment #}",
        "&lt;script&gt;alert(1)&lt;/script&gt;",
        "&#60;script&#62;",
        "\\u003cscript\\u003e",
        "\u{feff}<script>alert(1)</script>",
        "\u{202e}<script>alert(1)</script>",
        "\0<script>alert(1)</script>",
        "x\r\n<script>alert(1)</script>",
        "url(https://example.org/x.png)",
        "expression(alert(1))",
        "</td></tr></table><script>alert(1)</script>",
        "| a | b |\n|---|---|\n[x](javascript:alert(1))",
        "![x](https://example.org/x.png)",
        "<base href=//example.org>",
        "<meta http-equiv=refresh content=0;url=//example.org>",
        "＜script＞alert(1)＜/script＞",
    ];
    let wrappings: [fn(&str) -> String; 4] = [
        |attack| attack.to_owned(),
        |attack| format!("\"> {attack} <\""),
        |attack| format!("'> {attack} <'"),
        |attack| format!("\\\"`{attack}`\\\\"),
    ];
    attacks.iter().flat_map(|attack| wrappings.map(|wrap| wrap(attack))).collect()
}
