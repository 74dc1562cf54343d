"""Style, markup and script of the HTML page's sample browser."""

STYLE = """
body{font:15px/1.5 system-ui,sans-serif;max-width:1100px;margin:2rem auto;padding:0 1rem;color:#222}
h1,h2,h3{line-height:1.2}h2{border-bottom:1px solid #ccc;padding-bottom:.2rem;margin-top:2.5rem}
table{border-collapse:collapse;font-size:13px}.wide{overflow-x:auto}
th,td{padding:.25rem .6rem;border-bottom:1px solid #ddd;text-align:right;vertical-align:top}
th:first-child,td:first-child{text-align:left}th{background:#f4f4f4}
figure{margin:1rem 0}figure svg{max-width:100%;height:auto}figcaption{color:#666;font-size:13px}
#browser td{text-align:left}
#browser pre{white-space:pre-wrap;margin:0;max-height:12rem;overflow:auto}
.right{color:#00695c}.wrong{color:#b71c1c}.none,.error{color:#8a5a00}
.bar>*{margin:0 .6rem .6rem 0}
"""

BROWSER = """
<h2>Samples</h2>
<div class="bar">
<select id="run"></select><select id="condition"></select>
<select id="verdict"><option value="">all verdicts</option><option>right</option>
<option>wrong</option><option>no answer</option><option>error</option></select>
<input id="search" placeholder="search"><button id="back">back</button>
<button id="next">next</button><span id="count"></span>
</div>
<div id="browser" class="wide"></div>
"""

SCRIPT = """
const get = id => document.getElementById(id), size = 25;
const groups = JSON.parse(get("samples").textContent), rows = [];
groups.forEach(group => {
  const columns = {};
  for (const [name, values] of Object.entries(group.columns)) {
    if (Array.isArray(values)) columns[name] = values;
    else if ("same" in values) columns[name] = groups[values.same].columns[name];
    else columns[name] = Array(values.count).fill(values.all);
  }
  group.columns = columns;
  columns.id.forEach((_, place) => {
    const row = {run: group.run, condition: group.condition};
    for (const name in columns) row[name] = columns[name][place];
    rows.push(row);
  });
});
let first = 0;
const fill = (id, all, values) => {
  for (const value of ["", ...new Set(values)])
    get(id).add(new Option(value || all, value));
};
fill("run", "all runs", rows.map(r => r.run));
fill("condition", "all conditions", rows.map(r => r.condition));
if (rows.length) { get("run").value = rows[0].run; get("condition").value = "main"; }
const names = rows.length ? Object.keys(rows[0]) : [];
const draw = () => {
  const chosen = rows.filter(r =>
    ["run", "condition", "verdict"].every(id => !get(id).value || r[id] === get(id).value) &&
    JSON.stringify(r).toLowerCase().includes(get("search").value.toLowerCase()));
  first = Math.max(0, Math.min(first, Math.floor((chosen.length - 1) / size) * size));
  const right = chosen.filter(r => r.verdict === "right").length;
  get("count").textContent = chosen.length
    ? `${first + 1}-${Math.min(first + size, chosen.length)} of ${chosen.length}, ${right} right`
    : "none";
  const table = document.createElement("table"), head = table.insertRow();
  for (const name of names)
    head.append(Object.assign(document.createElement("th"), {textContent: name}));
  for (const row of chosen.slice(first, first + size)) {
    const line = table.insertRow();
    for (const name of names) {
      const pre = document.createElement("pre");
      pre.textContent = row[name] ?? "";
      if (name === "verdict") pre.className = row[name].split(" ").pop().replace("answer", "none");
      line.insertCell().append(pre);
    }
  }
  get("browser").replaceChildren(table);
};
for (const id of ["run", "condition", "verdict", "search"])
  get(id).addEventListener("input", () => { first = 0; draw(); });
get("back").addEventListener("click", () => { first -= size; draw(); });
get("next").addEventListener("click", () => { first += size; draw(); });
draw();
"""
