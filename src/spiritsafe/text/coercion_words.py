"""Words for the ideas that meet where somebody is after a model's hidden reasoning, in six languages. Data only.

English, German, French, Spanish, Chinese and Japanese; in the last two, which put no spaces between words, pairs of
characters. A word stands for one idea. "mind" are words for a mind at work that are rare elsewhere, "think" those of
every day; "other" are people who are not the model; "explain" is what pupils and ordinary customers ask for.
"""

from __future__ import annotations

from collections.abc import Mapping

IDEAS: Mapping[str, str] = {
    "mind": """
        reasoning thinking thoughts cot scratchpad monologue deliberation cogitation introspection deliberations
        musings cognition contemplation ruminations thinkings denken nachdenken gedanken gedankengang denkprozess
        denkprotokoll gedankenprotokoll überlegungen raisonnement pensée pensées réflexion délibération razonamiento
        pensamiento pensamientos monólogo
        思考 推理 思维 推論 考え
    """,
    "think": """
        think thought reason reasoned reasons mind brain consider considered memory scratch rationale reflection
        derivation notes planning analysis plan gedacht pensé pensaste
        草稿 記憶
    """,
    "hidden": """
        hidden internal internally private privately inner raw unfiltered silent silently undisclosed concealed
        invisible unseen withheld secret unredacted backstage unspoken hide hiding subconscious intern interne
        internes internen verborgen verborgenes verborgenen ungefiltertes inneres caché cachée brut brute oculto
        interno privado bruto
        内部 隐藏 原始 公开 内心 隠さ 非公 心の
    """,
    "whose": """
        your yours yourself you dein deine deinen du ton ta tes tu tus
        你的 的你 あな なた
    """,
    "other": """
        his her their our my me i we author authors court customer customers character he she they witness someone
        people students pupil friend father mother patient users sein ihr mein mon ma mes son sa leur mi mis su
        作者 我的 彼の 著者
    """,
    "before": """
        previous previously prior earlier above before preceding last already context buffer precedes vorher vor
        letzten zuvor avant dernière antes última
        之前 上一 直前 先ほ 前に
    """,
    "utter": """
        output print repeat reproduce reveal show write return dump transcribe quote paste copy include expose echo
        emit display disclose recite restate append publish narrate report state stream attach list retype give put
        provide say tell aloud visible visibly gib drucke zeige zeigen wiederhole schreibe ausgeben donne affiche
        recopie révèle imprime montrer muestra copia revela da devolverse mostrar
        输出 写出 打印 展示 返回 重复 出力 表示 書き 見せ 返す 繰り
    """,
    "exact": """
        verbatim exactly exact unedited unabridged full fully complete entire faithfully faithful literal character
        omit omitting omitted paraphrased everything token tokens whole unmodified unaltered original wörtlich
        ungekürzt unverändert vollständig auslassung genau intégralement omettre résumer omitir íntegro resumir
        逐字 原样 完整 概括 全文 省略 要約
    """,
    "recode": """
        base64 rot13 hexadecimal hex morse binary cipher caesar leetspeak encode encoded encoding obfuscate reversed
        backwards translate translated translation transliterate katakana json yaml xml csv render language bilingual
        html markdown tags field wrap übersetze kodiere traduis traduce codifica
        翻译 翻訳 编码 カタ
    """,
    "power": """
        developer debug debugger debugging diagnostic diagnostics admin administrator system override authorised
        authorized audit auditor policy maintenance operator compliance root mode elevated must mandatory required
        permitted authorize entwickler système développeur débogueur sistema desarrollador depurador
        系统 开发 调试 システ 開発 デバ
    """,
    "trace": """
        trace traces transcript block log channel process chain steps step train dump content session protokoll chaîne
        trace cadena
        过程 轨迹 过 過程 記録 连 連鎖
    """,
    "explain": """
        explain why justify because work working learn teach tutorial explanation understand method assumptions short
        brief briefly summarize summarise warum begründe erkläre pourquoi explique étapes por qué explica pasos
        为什 解释 步骤 理由 説明
    """,
}
"""Ideas by name, and their words."""
