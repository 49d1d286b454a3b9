"""The style sheet of the report: light and dark, wide and narrow, on screen and on paper."""

STYLE = """
:root{color-scheme:light dark;
--bg:#f6f7f9;--surface:#fff;--ink:#14181f;--muted:#596273;--line:#e2e6ec;--rail:#edf0f4;
--spatial:#b45309;--temporal:#0b63c5;--average:#0f7b5f;--svm:#9d2f7d;--loss:#c0262d;
--hit:29 94 190;--miss:206 84 14;--weak:#000;--strong:#000;--full:#fff;
--note:#fff8e6;--note-line:#ecd9a3;
--shadow:0 1px 2px rgb(16 24 40/.05),0 4px 16px rgb(16 24 40/.05)}
@media (prefers-color-scheme:dark){:root{
--bg:#0e1116;--surface:#171b22;--ink:#e8ebf0;--muted:#9aa5b5;--line:#2a313c;--rail:#232933;
--spatial:#f2a14a;--temporal:#62a8ff;--average:#3ecfa4;--svm:#e884c8;--loss:#ff8f8f;
--hit:110 168 255;--miss:244 146 70;--weak:#fff;--strong:#000;--full:#000;
--note:#262113;--note-line:#564a22;
--shadow:none}}
*{box-sizing:border-box}
html{scroll-behavior:smooth;-webkit-text-size-adjust:100%}
@media (prefers-reduced-motion:reduce){html{scroll-behavior:auto}}
body{margin:0;background:var(--bg);color:var(--ink);line-height:1.55;font-size:16px;
font-family:ui-sans-serif,system-ui,-apple-system,"Segoe UI",Roboto,"Helvetica Neue",Arial,
"Noto Sans","Liberation Sans",sans-serif;overflow-wrap:anywhere}
header,main,footer,nav{max-width:1120px;margin:0 auto;padding-inline:clamp(16px,4vw,32px)}
header{padding-top:clamp(32px,7vw,72px);padding-bottom:28px}
.eyebrow{margin:0;color:var(--muted);font-size:.8rem;font-weight:600;letter-spacing:.08em;
text-transform:uppercase}
h1{margin:.15em 0 0;font-size:clamp(2rem,6vw,3.2rem);line-height:1.1;letter-spacing:-.025em}
h2{margin:0 0 .6em;font-size:clamp(1.35rem,3vw,1.7rem);letter-spacing:-.015em;line-height:1.2}
h3{margin:0 0 .35em;font-size:1rem}
.facts{margin:.5em 0 0;color:var(--muted)}
.verdict{margin:1.1em 0 0;font-size:clamp(1.15rem,2.6vw,1.5rem);line-height:1.4;max-width:40em;
letter-spacing:-.01em}
.second{margin:.5em 0 0;color:var(--muted);max-width:44em}
nav{position:sticky;top:0;z-index:5;display:flex;gap:4px;overflow-x:auto;padding-block:8px;
background:var(--bg);border-bottom:1px solid var(--line);scrollbar-width:none}
nav a{flex:none;padding:5px 12px;border-radius:99px;color:var(--muted);text-decoration:none;
font-size:.9rem;font-weight:500}
nav a:first-child{margin-left:-12px}
nav a:hover{background:var(--rail);color:var(--ink)}
:focus-visible{outline:2px solid var(--temporal);outline-offset:2px;border-radius:4px}
section{padding-top:clamp(36px,6vw,64px);scroll-margin-top:20px}
main p{max-width:46em}
footer{margin-top:64px;padding-block:24px 48px;color:var(--muted);font-size:.85rem;
border-top:1px solid var(--line)}
.nowrap{white-space:nowrap}
.small,small,figcaption{color:var(--muted);font-size:.85rem}
.panel,.card,.clip,.topic{background:var(--surface);border:1px solid var(--line);
border-radius:14px;box-shadow:var(--shadow)}
.panel{padding:clamp(14px,2.5vw,24px);margin-block:16px}
.notes{margin-top:28px;padding:16px 20px;background:var(--note);
border:1px solid var(--note-line);border-radius:14px}
.notes h2{font-size:1rem;margin:0 0 .3em}.notes ul{margin:0;padding-left:1.2em}
.note,.left-out{padding:10px 14px;border-radius:10px;background:var(--rail);color:var(--muted);
font-size:.92rem}
.spatial{--c:var(--spatial)}.temporal{--c:var(--temporal)}.average{--c:var(--average)}
.svm{--c:var(--svm)}
h3 i,th i,.opinions i{display:inline-block;width:.65em;height:.65em;border-radius:50%;
margin-right:.45em;background:var(--c)}
.cards{display:grid;gap:12px;grid-template-columns:repeat(auto-fit,minmax(min(200px,46%),1fr))}
.card{padding:16px 18px;border-top:3px solid var(--c)}
.card h3{display:flex;justify-content:space-between;align-items:center;margin:0;gap:6px;
font-size:.9rem;font-weight:600;color:var(--muted)}
.card em{white-space:nowrap;
padding:1px 9px;border-radius:99px;background:var(--c);color:var(--surface);
font-size:.72rem;font-style:normal;font-weight:700}
.card p{margin:0;font-size:.85rem;color:var(--muted)}
.figure{font-variant-numeric:tabular-nums;font-weight:700;letter-spacing:-.03em;line-height:1.15}
.card .figure{margin:.12em 0 .1em;font-size:clamp(1.9rem,5vw,2.6rem);color:var(--ink)}
svg{display:block}
.track-row{display:grid;grid-template-columns:8.5em 1fr 4em;align-items:center;gap:0 16px}
.track,.bars,.share{width:100%;overflow:visible}
.track-label{font-weight:500}
.track-value{font-weight:600;font-variant-numeric:tabular-nums;text-align:right;white-space:nowrap}
.axis{position:relative;grid-column:2;height:1.5em;font-size:.75rem;color:var(--muted)}
.axis span{position:absolute;white-space:nowrap;transform:translateX(-50%)}
.grid{stroke:var(--line);stroke-width:1}
.chance{stroke:var(--muted);stroke-width:1.5;stroke-dasharray:3 3}
.gap{stroke:var(--c);stroke-width:1.5;opacity:.55}
.interval{fill:var(--c);opacity:.28}
circle.test{fill:var(--c)}
circle.train{fill:var(--surface);stroke:var(--c);stroke-width:2}
.legend{display:flex;flex-wrap:wrap;align-items:center;gap:2px 0;margin:0 0 6px;
color:var(--muted);font-size:.85rem}
.legend b{margin-right:14px}
.panel>.legend:last-child{margin:14px 0 0}
.key{display:inline-block;width:14px;height:10px;border-radius:3px;margin-right:6px;flex:none}
.entry{display:inline-flex;align-items:center;margin-right:12px;white-space:nowrap}
.key.test{width:11px;height:11px;border-radius:50%;background:var(--muted)}
.key.train{width:11px;height:11px;border-radius:50%;border:2px solid var(--muted)}
.key.interval{width:22px;background:var(--muted);opacity:.4}
.key.chance{width:0;height:14px;border-left:2px dashed var(--muted);border-radius:0}
.key.bar{background:var(--c)}
.key.hit{background:rgb(var(--hit))}.key.miss{background:rgb(var(--miss))}
.rail{fill:var(--rail)}.bar{fill:var(--c)}.none{fill:none}
rect.hit{fill:rgb(var(--hit))}rect.miss{fill:rgb(var(--miss))}
.agreement{width:100%;border-spacing:12px;margin:0 -12px;width:calc(100% + 24px);
table-layout:fixed}
.agreement thead td,.agreement tbody th{width:2.2em}
.agreement th{font-size:.85rem;font-weight:600;color:var(--muted)}
.agreement tbody th span{writing-mode:vertical-rl;transform:rotate(180deg);margin:auto}
.agreement tbody td{padding:16px 18px;vertical-align:top;background:var(--surface);
border:1px solid var(--line);border-radius:14px;box-shadow:var(--shadow)}
.agreement td.spatial,.agreement td.temporal{border-top:3px solid var(--c)}
.agreement .figure{margin:0;font-size:clamp(1.7rem,5vw,2.3rem)}
.agreement h3{font-size:.9rem;color:var(--muted);margin:0}
.agreement p{margin:0}.agreement p+p{margin-top:.1em}
.agreement ul{list-style:none;margin:8px 0 0;padding:0}
.agreement li{display:grid;grid-template-columns:4.6em 1fr 2.4em;align-items:center;gap:8px;
font-size:.85rem}
.agreement li b{text-align:right;font-variant-numeric:tabular-nums}
.share{border-radius:3px;overflow:hidden}
.classes{display:grid}
.class-row{display:grid;grid-template-columns:var(--names) 1fr 10em 14.5em;align-items:center;
gap:4px 16px;padding:7px 0;border-top:1px solid var(--line)}
.class-row:first-child{border-top:0}
.class-name{font-weight:500;line-height:1.25}
.class-name small{display:block;font-weight:400;font-size:.76rem}
.numbers{display:flex;justify-content:space-between;font-size:.85rem;font-weight:600;
font-variant-numeric:tabular-nums}
.numbers span{white-space:nowrap;color:var(--c);flex:1;text-align:right}
.chips{display:flex;flex-wrap:wrap;gap:4px}
.chip{padding:1px 9px;border-radius:99px;font-size:.76rem;font-weight:600;
border:1px solid var(--line);color:var(--muted);white-space:nowrap}
.chip.fusion{--c:var(--average)}
.chip.fusion,.chip.spatial,.chip.temporal{color:var(--c);border-color:var(--c)}
.chip.loss{color:var(--loss);border-color:var(--loss)}
details summary{cursor:pointer;padding:10px 0;color:var(--temporal);font-weight:600;
font-size:.9rem}
.tabs>input{position:absolute;opacity:0;pointer-events:none}
.tab-bar{display:inline-flex;flex-wrap:wrap;padding:3px;border-radius:12px;background:var(--rail);
margin-bottom:14px}
.tab-bar label{padding:5px 14px;border-radius:9px;cursor:pointer;font-size:.9rem;font-weight:500;
color:var(--muted)}
.matrix{display:none}
#matrix-spatial:checked~#panel-spatial,#matrix-temporal:checked~#panel-temporal,
#matrix-average:checked~#panel-average,#matrix-svm:checked~#panel-svm{display:block}
#matrix-spatial:checked~.tab-bar [for=matrix-spatial],
#matrix-temporal:checked~.tab-bar [for=matrix-temporal],
#matrix-average:checked~.tab-bar [for=matrix-average],
#matrix-svm:checked~.tab-bar [for=matrix-svm]{background:var(--surface);color:var(--ink);
box-shadow:var(--shadow)}
.tabs>input:focus-visible~.tab-bar{outline:2px solid var(--temporal);outline-offset:2px}
.scroll{overflow-x:auto;max-width:100%}
.confusion{border-collapse:separate;border-spacing:2px;font-variant-numeric:tabular-nums;
font-size:.85rem;overflow-wrap:normal}
.confusion caption{position:absolute;width:1px;height:1px;overflow:hidden;clip-path:inset(50%)}
.confusion thead td{color:var(--muted);font-size:.76rem;vertical-align:bottom;white-space:nowrap}
.confusion thead th{vertical-align:bottom;font-weight:500;padding:0 0 4px}
.confusion thead span{writing-mode:vertical-rl;transform:rotate(180deg);max-height:11em;
overflow:hidden;text-overflow:ellipsis;white-space:nowrap;margin:auto}
.confusion tbody th{position:sticky;left:0;background:var(--bg);text-align:right;font-weight:500;
padding-right:8px;max-width:15em;overflow:hidden;text-overflow:ellipsis;white-space:nowrap}
.confusion tbody td{min-width:46px;width:54px;height:40px;text-align:center;border-radius:5px;
font-weight:600;line-height:1.1}
.confusion td small{display:block;font-size:.7rem;font-weight:400;color:inherit}
.confusion .zero{background:var(--rail);opacity:.55}
.confusion .zero.diagonal{opacity:1;box-shadow:inset 0 0 0 1px rgb(var(--hit)/.4)}
.confusion td.hit{background:rgb(var(--hit)/var(--v))}
.confusion td.miss{background:rgb(var(--miss)/var(--v))}
.confusion tbody td{color:var(--weak)}.confusion td.strong{color:var(--strong)}
.confusion td.hit.full{color:var(--full)}
.confusion .empty th{color:var(--muted);font-style:italic}
.confusion-map text{font-size:8px;fill:var(--ink);text-anchor:end}
.confusion-map text.column{text-anchor:start}
.confusion-map .plate{fill:var(--surface)}
.confusion-map .hit,.confusion-map .miss{fill-opacity:var(--v)}
.confusion-map rect:hover{stroke:var(--ink);stroke-width:1.5}
.mistakes{margin:0;padding:0;list-style:none;columns:22em;column-gap:32px}
.mistakes li{display:flex;flex-wrap:wrap;gap:0 .45em;padding:6px 0;break-inside:avoid;
border-bottom:1px solid var(--line)}
.mistakes span{color:var(--muted)}.mistakes b{margin-left:auto}
.mistakes small{flex-basis:100%}
.matrix-body{display:flex;flex-wrap:wrap;gap:8px 40px;align-items:flex-start}
.matrix-body>.side{flex:1 1 20em;min-width:min(20em,100%)}
.side h3{margin-top:14px}
.clips{display:grid;gap:14px;grid-template-columns:repeat(auto-fill,minmax(min(310px,100%),1fr))}
.clip{padding:14px}
.pair{display:grid;grid-template-columns:1fr 1fr;gap:8px}
.clip figure{margin:0}
.clip img{display:block;width:100%;height:auto;border-radius:8px}
.clip h3{margin:.5em 0 0;font-weight:500}
.clip .wrong{color:var(--loss)}
.file{margin:0 0 8px;color:var(--muted);font-size:.78rem}
.top{list-style:none;margin:0;padding:0}
.top li{display:grid;grid-template-columns:1fr 6em 3.6em;gap:10px;align-items:center;
font-size:.85rem;line-height:1.6}
.top b{text-align:right;font-variant-numeric:tabular-nums;font-weight:600}
.opinions{list-style:none;margin:10px 0 0;padding:8px 0 0;border-top:1px solid var(--line);
font-size:.8rem;color:var(--muted)}
.wheel{display:flex;gap:14px;align-items:center}.wheel img{flex:none}
.curves{display:grid;gap:28px;grid-template-columns:repeat(auto-fit,minmax(min(320px,100%),1fr))}
.curve{margin:0}.curve h3{font-size:.9rem;font-weight:600}
.plot{display:grid;grid-template-columns:3em 1fr;gap:6px 8px}
.plot svg{width:100%;height:220px;overflow:visible}
.y-axis{position:relative}
.y-axis span{position:absolute;right:0;transform:translateY(50%)}
.x-axis{grid-column:2;display:flex;justify-content:space-between}
.y-axis,.x-axis{font-size:.75rem;color:var(--muted);font-variant-numeric:tabular-nums}
.plot line,.plot polyline{vector-effect:non-scaling-stroke;fill:none}
.plot polyline{stroke:var(--c);stroke-linejoin:round}
.raw{stroke-width:1;opacity:.35}.trend{stroke-width:2.5}
.reference{stroke:var(--c);stroke-width:1.5;stroke-dasharray:5 4}
.plain{border-collapse:collapse;font-size:.88rem;min-width:min(100%,34em);
font-variant-numeric:tabular-nums;overflow-wrap:normal}
.plain.wide{width:100%}
.plain th,.plain td{padding:7px 18px 7px 0;text-align:left;border-bottom:1px solid var(--line);
vertical-align:top}
.plain td{white-space:nowrap}.plain.wide td{white-space:normal}
.plain thead th{color:var(--muted);font-weight:500}
.plain tbody th{font-weight:600}
.filter-blocks{display:flex;flex-wrap:wrap;gap:16px;align-items:flex-start}
.filters{max-width:100%;height:auto;image-rendering:pixelated;border-radius:3px}
#filters h3{margin-top:1.4em}
pre{padding:14px 16px;border-radius:12px;background:var(--rail);overflow-x:auto;font-size:.85rem;
white-space:pre-wrap;font-family:ui-monospace,SFMono-Regular,Menlo,Consolas,monospace}
.topics{columns:3 20em;column-gap:14px}
.topic{padding:14px 18px;margin-bottom:14px;break-inside:avoid}
.topic h3::first-letter{text-transform:uppercase}
.topic dl{margin:0}
.topic dl div{display:flex;justify-content:space-between;gap:16px;padding:4px 0;
border-top:1px solid var(--line);font-size:.85rem}
.topic dt{flex:none;max-width:60%;color:var(--muted)}.topic dd{margin:0;text-align:right}
.part0{fill:var(--temporal);background:var(--temporal)}
.part1{fill:var(--spatial);background:var(--spatial)}
.part2{fill:var(--average);background:var(--average)}
.part3{fill:var(--svm);background:var(--svm)}
@media (max-width:760px){
.class-row{grid-template-columns:1fr auto}
.class-row .bars{grid-column:1/-1;order:3}.class-row .numbers{order:2;gap:12px}
.class-row .chips{grid-column:1/-1;order:4}
.track-row{grid-template-columns:1fr auto}.axis,.track{grid-column:1/-1}.track{order:3}
.track-label,.track-value{font-size:.9rem;margin-top:6px}
.agreement{border-spacing:6px;margin:0 -6px;width:calc(100% + 12px)}
.agreement tbody td{padding:12px}
.agreement li{grid-template-columns:1fr auto}.agreement li svg{grid-column:1/-1;grid-row:2}
.plain th,.plain td{padding-right:14px}}
@media print{nav{display:none}.matrix{display:block}body{background:#fff}
section{break-inside:auto}.clip,.class-row{break-inside:avoid}}
"""
