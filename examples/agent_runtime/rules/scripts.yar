// What a script must not look like. A match blocks the run; the rule's name tells why.
// Patterns aim at intent, not at style: `rm -rf build/` is fine, `rm -rf /` is not.

rule reverse_shell
{
    meta:
        description = "Hands a shell to another machine"
        severity = "critical"
    strings:
        $bash_tcp = /\/dev\/(tcp|udp)\/[\w.\-]+\/\d{1,5}/
        $netcat = /\b(nc|ncat|netcat)\b[^\n]{0,80}\s(-e|-c|--exec)\s/
        $mkfifo = /mkfifo\s[^\n]{1,80}(nc|ncat|telnet|openssl s_client)\s/
        $dup = /os\.dup2\(\s*\w+\.fileno\(\)\s*,\s*[012]\s*\)/
        $pty = /pty\.spawn\(\s*["'](\/bin\/)?(ba|z|da)?sh["']/
        $connect = /\.connect\(\s*\(/
    condition:
        $bash_tcp or $netcat or $mkfifo or (($dup or $pty) and $connect)
}

rule crypto_miner
{
    meta:
        description = "Mines crypto-currency"
        severity = "high"
    strings:
        $stratum = /stratum\+(tcp|ssl|tls):\/\//
        $program = /\b(xmrig|minerd|cpuminer|ethminer|nbminer|cgminer)\b/ nocase
        $option = /--(donate-level|coin|nicehash|randomx-)[=\s\w]/
        $pool = /pool\.(minexmr|supportxmr|hashvault|nanopool)\.\w+/ nocase
    condition:
        $stratum or $pool or ($program and $option)
}

rule destroys_files
{
    meta:
        description = "Deletes or overwrites the file system"
        severity = "critical"
    strings:
        $remove = /\brm\s+(-[\w\-]+\s+){1,4}(\/|\/\*|~\/?|\$HOME\/?)(\s|;|&|"|'|\)|$)/
        $rmtree = /shutil\.rmtree\(\s*["'](\/|~\/?)["']/
        $make = /\bmkfs(\.\w+)?\s+[^\n]{0,40}\/dev\//
        $dd = /\bdd\b[^\n]{0,80}\bof=\/dev\/(sd|nvme|vd|hd|mapper)/
    condition:
        any of them
}

rule fork_bomb
{
    meta:
        description = "Starts processes without end"
        severity = "high"
    strings:
        $shell = /(\w+|:)\s?\(\)\s*\{\s*(\w+|:)\s*\|\s*(\w+|:)\s*&\s*\}\s*;/
        $python = /while\s+(True|1)\s*:\s{0,80}os\.fork\(\)/
    condition:
        any of them
}

rule harvests_credentials
{
    meta:
        description = "Reads keys or passwords of this machine"
        severity = "critical"
    strings:
        $shadow = "/etc/shadow"
        $ssh = /\.ssh\/(id_(rsa|dsa|ecdsa|ed25519)|authorized_keys)/
        $cloud = /\.aws\/credentials|\.config\/gcloud\/|\.kube\/config|\.docker\/config\.json/
        $metadata = "169.254.169.254"
        $browser = /(Login Data|logins\.json|cookies\.sqlite)/
        $environ = /\/proc\/(\d+|self|\*)\/environ/
    condition:
        any of them
}

rule fetches_and_runs
{
    meta:
        description = "Runs code straight from the network"
        severity = "high"
    strings:
        $pipe = /\b(curl|wget)\b[^\n|]{1,200}\|\s*(sudo\s+)?(ba|z|da)?sh\b/
        $exec = /(exec|eval)\(\s*(urllib\.request\.)?(urlopen|requests\.get)\(/
    condition:
        any of them
}

rule hides_its_code
{
    meta:
        description = "Decodes code and runs it"
        severity = "high"
    strings:
        $python = /(exec|eval)\(\s*(\w+\.)?(b64decode|unhexlify|decompress|loads)\(/
        $shell = /base64\s+(-d|--decode|-D)[^\n|]{0,40}\|\s*(ba|z|da)?sh\b/
    condition:
        any of them
}
