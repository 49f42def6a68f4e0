import json,random,subprocess
random.seed(11)
R=[]
tok=["a","b","x.y/z","in","notin","=","==","!=",">","<","(",")",",","!"," ","1","-","a_b","A",""]
for _ in range(500): R.append({"What":"label","Text":"".join(random.choice(tok) for _ in range(random.randint(0,7)))})
for _ in range(300):
  parts=[]
  for _ in range(random.randint(1,3)):
    k=random.choice(["a","b","x.io/y","c","bad key","-q"]); v=random.choice(["v","","1","w w","-","x"*64])
    parts.append(random.choice([k,"!"+k,k+"="+v,k+"=="+v,k+" != "+v,k+" in ("+v+",z)",k+" notin ("+v+")",k+">"+v,k+" in ("+v+",,)",k+" in (z "+v]))
  R.append({"What":"label","Text":",".join(parts)})
ft=["a","b.c","=","==","!=",",","\\","\\,","\\=","!"," ","x"]
for _ in range(300): R.append({"What":"field","Text":"".join(random.choice(ft) for _ in range(random.randint(0,7)))})
kt=["a","B","9",".","-","_","/"," ","é","x"*30]
for _ in range(100): R.append({"What":"key","Text":"".join(random.choice(kt) for _ in range(random.randint(0,6)))})
docs=[{"a":[1,2,{"b":None}],"b":{"c":1,"d":[]},"n":None,"":5,"e/f":{"g~h":1},"s":"x"},{"a":{"a":{"a":[]}}},{}]
seg=["","/","/a","/a/0","/a/1","/a/-","/a/-1","/a/-2","/a/9","/a/x","/a/2/b","/b","/b/c","/b/d","/b/d/0","/b/d/-","/b/x","/n","/n/x","/e~1f","/e~1f/g~0h","/s/x","/z","/z/z","a","a/b","/a/+1","/a/01","/b/c/d","/a/a/a","/a/a"]
vals=[1,None,"x",[],{"q":1},[1,2],True,{"b":None},5]
def op():
  o={"op":random.choice(["add","remove","replace","move","copy","test","test","nope"])}
  if random.random()<.97: o["path"]=random.choice(seg)
  if o["op"] in("move","copy") and random.random()<.97: o["from"]=random.choice(seg)
  if o["op"] in("add","replace","test") and random.random()<.95: o["value"]=random.choice(vals)
  return o
for _ in range(900): R.append({"What":"patch","Text":"","Doc":random.choice(docs),"Patch":[op() for _ in range(random.choice([1,1,1,2,3]))]})
out=subprocess.run(["./soracle"],input="".join(json.dumps(r)+"\n" for r in R),capture_output=True,text=True,check=True).stdout.splitlines()
out=[l for l in out if '"PANIC' not in l]
W={"patch":[],"sel":[]}
for l in out:
  (W["patch"] if '"What":"patch"' in l else W["sel"]).append(l)
open("jsonpatch.jsonl","w").write("\n".join(W["patch"])+"\n"); open("selectors.jsonl","w").write("\n".join(W["sel"])+"\n")
print(len(R),len(W["patch"]),len(W["sel"]))
