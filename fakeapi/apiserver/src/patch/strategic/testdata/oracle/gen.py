import json, random, subprocess
random.seed(7)
C=[]
def c(kind,o,p): C.append({"kind":kind,"original":o,"patch":p})
pod=lambda **s: {"spec":s}
meta=lambda **m: {"metadata":m}
dep=lambda **s: {"spec":s}
node=lambda st: {"status":st}
base=pod(containers=[{"name":"a","image":"i1","env":[{"name":"X","value":"1"},{"name":"Y","value":"2"}],"args":["q","r"]},{"name":"b","image":"i2"}])
for p in [
 {}, pod(containers=[{"name":"a","image":"new"}]), pod(containers=[{"name":"c","image":"i3"}]),
 pod(containers=[{"name":"a","$patch":"delete"}]), pod(containers=[{"$patch":"replace"},{"name":"z","image":"i"}]),
 pod(containers=[{"$patch":"replace"}]), pod(containers=[{"name":"b","$patch":"delete"},{"name":"c","image":"k"}]),
 pod(containers=[{"image":"nokey"}]), pod(containers=[{"$patch":"delete","image":"nokey"}]), pod(containers=[{"name":"a","$patch":"merge"}]),
 pod(containers=[{"name":"a","$patch":"bogus"}]), pod(containers=[{"name":"a","env":[{"name":"X","$patch":"delete"},{"name":"Z","value":"3"}]}]),
 pod(containers=[{"name":"a","args":["s"]}]), pod(containers=[{"name":"a","env":None}]), pod(containers=[{"name":"a","image":None}]),
 pod(containers=None), pod(containers=[]), {"spec":None}, {"$patch":"replace","spec":{"nodeName":"n"}}, {"$patch":"delete"}, {"$patch":"merge"}, {"$patch":3},
 {"spec":{"$patch":"replace","nodeName":"n"}}, {"spec":{"$patch":"delete"}}, {"status":{"$patch":"delete"}}, {"status":{"$patch":"replace","phase":"Running"}},
 {"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}]}},
 {"spec":{"$setElementOrder/containers":[{"name":"b"},{"name":"a"}],"containers":[{"name":"a","image":"n"}]}},
 {"spec":{"$setElementOrder/containers":[{"name":"c"},{"name":"a"}],"containers":[{"name":"c","image":"n"}]}},
 {"spec":{"$setElementOrder/containers":[{"name":"a"},{"name":"c"}],"containers":[{"name":"c","image":"n"},{"name":"a","image":"m"}]}},
 {"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"c","image":"n"}]}},
 {"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"b","$patch":"delete"}]}},
 {"spec":{"$setElementOrder/containers":[{"nome":"a"}],"containers":[{"name":"a","image":"x"}]}},
 {"spec":{"$setElementOrder/containers":"x"}}, {"spec":{"$setElementOrdercontainers":[]}}, {"spec":{"$setElementOrder":[]}},
 {"spec":{"$setElementOrder/containers":[{"name":"a"},{"name":"b"}],"containers":None}},
 {"spec":{"$setElementOrder/initContainers":[{"name":"a"}],"initContainers":[{"name":"a","image":"x","env":[{"name":"E","$patch":"delete"}]}]}},
 pod(containers=["x"]), pod(containers={"name":"x"}), pod(containers="x"),
 pod(containers=[{"name":"n","env":[{"name":"E","value":"1"},{"name":"F","$patch":"delete"}]}]),
 pod(containers=[{"name":"n","image":None}]), pod(initContainers=[{"name":"n","env":[{"name":"F","$patch":"delete"}]}]),
 pod(nodeSelector={"a":"b","c":None}),
 pod(containers=[{"name":"a","resources":{"limits":{"cpu":"1"}}}]),
]: c("Pod",base,p)
ports=pod(containers=[{"name":"a","ports":[{"containerPort":53,"protocol":"TCP"},{"containerPort":53,"protocol":"UDP"},{"containerPort":80}]}])
for p in [[{"containerPort":53,"protocol":"UDP","name":"dns"}],[{"containerPort":81}],[{"containerPort":53,"$patch":"delete"}],[{"containerPort":80,"name":"h"},{"containerPort":53,"name":"d"}]]:
  c("Pod",ports,pod(containers=[{"name":"a","ports":p}]))
c("Pod",ports,{"spec":{"containers":[{"name":"a","$setElementOrder/ports":[{"containerPort":80},{"containerPort":53}],"ports":[{"containerPort":80,"name":"x"}]}]}})
vol=pod(volumes=[{"name":"v","emptyDir":{"medium":"Memory"}},{"name":"w","configMap":{"name":"c"}}])
for p in [[{"name":"v","$retainKeys":["name","hostPath"],"hostPath":{"path":"/x"}}],[{"name":"v","hostPath":{"path":"/x"}}],
 [{"name":"v","$retainKeys":["name"],"hostPath":{"path":"/x"}}],[{"name":"v","$retainKeys":"name"}],[{"name":"v","$retainKeys":["name"],"emptyDir":None}],
 [{"name":"n","$retainKeys":["name","emptyDir"],"emptyDir":{}}],[{"name":"w","$patch":"delete"}]]:
  c("Pod",vol,pod(volumes=p))
tol=pod(tolerations=[{"key":"a","operator":"Exists"}],imagePullSecrets=[{"name":"s1"}],securityContext={"runAsUser":1,"fsGroup":2},nodeSelector={"a":"1"},hostNetwork=True,priority=3)
for p in [pod(tolerations=[{"key":"b"}]),pod(tolerations=[]),pod(tolerations=None),pod(imagePullSecrets=[{"name":"s2"}]),pod(securityContext={"fsGroup":None,"runAsGroup":4}),
 pod(securityContext=None),pod(nodeSelector={"a":None,"b":"2"}),pod(nodeSelector={"$patch":"replace","z":"9"}),pod(nodeSelector={"$patch":"delete"}),pod(hostNetwork=False),pod(hostNetwork=None),
 pod(priority="x"),pod(priority={"$patch":"delete"}),pod(securityContext=[1]), {"spec":{"$retainKeys":["tolerations"],"tolerations":[{"key":"q"}]}},
 pod(imagePullSecrets=[{"name":"s2"},{"name":"s1","$patch":"delete"}]), {"spec":{"$deleteFromPrimitiveList/tolerations":["x"]}}]:
  c("Pod",tol,p)
fin=meta(finalizers=["a","b","c"],labels={"x":"y"},annotations={"k":"v"})
for p in [meta(finalizers=["d"]),meta(finalizers=["b"]),meta(finalizers=["c","a"]),meta(finalizers=["d","a"]),meta(finalizers=None),meta(finalizers=[]),
 {"metadata":{"$deleteFromPrimitiveList/finalizers":["b"]}},{"metadata":{"$deleteFromPrimitiveList/finalizers":["zz"]}},{"metadata":{"$deleteFromPrimitiveList/nothing":["zz"]}},
 {"metadata":{"$deleteFromPrimitiveListfinalizers":["b"]}},{"metadata":{"$deleteFromPrimitiveList/finalizers":["b"],"$setElementOrder/finalizers":["d","c","a"],"finalizers":["d"]}},
 {"metadata":{"$setElementOrder/finalizers":["c","a"]}},{"metadata":{"$setElementOrder/finalizers":["c","b","d","a"],"finalizers":["d"]}},{"metadata":{"$setElementOrder/finalizers":["c"],"finalizers":["d"]}},
 meta(finalizers=[1]),meta(finalizers=[["q"]]),meta(labels={"x":None,"z":"1"}),meta(labels=None),meta(annotations={"k":"w"}),meta(finalizers=["q","q","a"]),
 {"metadata":{"$deleteFromPrimitiveList/finalizers":None}}]:
  c("Pod",fin,p)
nd={"spec":{"taints":[{"key":"a","effect":"NoSchedule"}],"podCIDRs":["10.0.0.0/24"],"unschedulable":True},"status":{"conditions":[{"type":"Ready","status":"False"},{"type":"DiskPressure","status":"False"}],"addresses":[{"type":"InternalIP","address":"1"}],"capacity":{"cpu":"1","memory":"2Gi"}}}
for p in [{"spec":{"taints":[{"key":"b","effect":"NoExecute"}]}},{"spec":{"taints":None}},{"spec":{"unschedulable":None}},{"spec":{"podCIDRs":["10.1.0.0/24"]}},
 {"status":{"conditions":[{"type":"Ready","status":"True","reason":"R"}]}},{"status":{"conditions":[{"type":"New","status":"True"}]}},
 {"status":{"$setElementOrder/conditions":[{"type":"DiskPressure"},{"type":"Ready"}],"conditions":[{"type":"Ready","status":"True"}]}},
 {"status":{"addresses":[{"type":"InternalIP","address":"2"},{"type":"Hostname","address":"h"}]}},{"status":{"$setElementOrder/addresses":[{"type":"Hostname"},{"type":"InternalIP"}],"addresses":[{"type":"Hostname","address":"h"}]}},
 {"status":{"capacity":{"cpu":"4","pods":"110"},"images":[{"names":["a"]}]}},{"spec":{"taints":[{"$patch":"replace"},{"key":"c"}]}}]:
  c("Node",nd,p)
dp={"spec":{"replicas":1,"strategy":{"type":"RollingUpdate","rollingUpdate":{"maxSurge":1}},"template":{"spec":{"containers":[{"name":"a","image":"1"}]}}}}
for p in [{"spec":{"strategy":{"$retainKeys":["type"],"type":"Recreate"}}},{"spec":{"strategy":{"type":"Recreate"}}},{"spec":{"strategy":{"type":"Recreate","rollingUpdate":None}}},
 {"spec":{"template":{"metadata":{"annotations":{"kubectl.kubernetes.io/restartedAt":"t"}}}}},{"spec":{"template":{"spec":{"$setElementOrder/containers":[{"name":"a"}],"containers":[{"name":"a","image":"2"}]}}}},{"spec":{"replicas":None}},{"spec":{"replicas":2.5}}]:
  c("Deployment",dp,p)
# random
names="abcdef"
def env(k): 
  return [{"name":n,"value":str(random.randint(0,3))} for n in random.sample("XYZW",k)]
def cont(n,full=True):
  r={"name":n}
  if random.random()<.7: r["image"]=str(random.randint(0,9))
  if random.random()<.4: r["env"]=env(random.randint(0,3))
  if random.random()<.3: r["args"]=[str(random.randint(0,3)) for _ in range(random.randint(0,2))]
  if random.random()<.3: r["ports"]=[{"containerPort":random.choice([80,81,82])} for _ in range(random.randint(0,3))]
  return r
def order(items, key):
  ids=[i[key] if key else i for i in items]
  return ids
for i in range(600):
  orig=[cont(n) for n in random.sample(names,random.randint(0,4))]
  pat=[]
  for n in random.sample(names,random.randint(0,4)):
    x=cont(n)
    if random.random()<.25: x={"name":n,"$patch":"delete"}
    elif random.random()<.1: x["image"]=None
    if "env" in x and random.random()<.4:
      e=[dict(v) for v in x["env"]]
      for v in e:
        if random.random()<.4: v.pop("value",None); v["$patch"]="delete"
      x["env"]=e
      if random.random()<.5:
        x["$setElementOrder/env"]=[{"name":v["name"]} for v in e if "$patch" not in v]+[{"name":q} for q in "XYZW" if q not in [v["name"] for v in e] and random.random()<.3]
    pat.append(x)
  if random.random()<.05: pat.insert(random.randint(0,len(pat)),{"$patch":"replace"})
  sp={}
  if pat or random.random()<.5: sp["containers"]=pat
  if random.random()<.6:
    ids=[x["name"] for x in pat if x.get("$patch")!="delete" and "name" in x]
    extra=[n for n in names if n not in [x.get("name") for x in pat] and random.random()<.5]
    for e in extra: ids.insert(random.randint(0,len(ids)),e)
    if random.random()<.1: random.shuffle(ids)
    sp["$setElementOrder/containers"]=[{"name":n} for n in ids]
  c("Pod",{"spec":{"containers":orig}} if orig or random.random()<.5 else {"spec":{}},{"spec":sp})
for i in range(150):
  orig=random.sample(names,random.randint(0,5)); new=random.sample(names,random.randint(0,3)); gone=[n for n in random.sample(names,random.randint(0,3)) if n not in new]
  m={}
  if new: m["finalizers"]=new
  if gone: m["$deleteFromPrimitiveList/finalizers"]=gone
  if random.random()<.6:
    ids=list(new)
    for e in [n for n in names if n not in new+gone and random.random()<.6]: ids.insert(random.randint(0,len(ids)),e)
    m["$setElementOrder/finalizers"]=ids
  c("Pod",{"metadata":{"finalizers":orig} if orig else {}},{"metadata":m})
inp="\n".join(json.dumps(x) for x in C)+"\n"
out=subprocess.run(["./oracle"],input=inp,capture_output=True,text=True,check=True).stdout.splitlines()
def settle(v):
  if isinstance(v,dict):
    return {k:settle(x) for k,x in v.items() if x is not None and not (k in("$patch","$retainKeys") or k.startswith("$setElementOrder/") or k.startswith("$deleteFromPrimitiveList/"))}
  if isinstance(v,list): return [settle(x) for x in v]
  return v
res=[];pan=0
for l in out:
  r=json.loads(l)
  if r.get("error","").startswith(("PANIC","no elements")): pan+=1; continue
  if "result" in r: r["result"]=settle(r["result"])
  res.append(json.dumps(r,sort_keys=True,separators=(",",":")))
print(len(res),"cases",pan,"panics", sum('"error"' in x for x in res),"errors")
open("cases.jsonl","w").write("\n".join(res)+"\n")
