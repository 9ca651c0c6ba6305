"""Words that carry no subject, in the languages that most texts here are written in.

Collected by hand from the closed word classes: articles, pronouns, prepositions, conjunctions,
auxiliaries, common adverbs.
"""

from __future__ import annotations

STOPWORDS = {
    "en": (
        "a about above after again against all also although always am among an and another "
        "any are as at be because been before being below between both but by can cannot "
        "could did do does doing down during each either else ever every few for from further "
        "had has have having he her here hers herself him himself his how however i if in "
        "into is it its itself just least less like made make many may me might more most "
        "much must my myself neither never no nor not now of off often on once one only or "
        "other others our ours out over own per perhaps quite rather said same see shall she "
        "should since so some still such than that the their theirs them themselves then "
        "there therefore these they this those though through thus to too two under until up "
        "upon us use used using very was we well were what when where whether which while who "
        "whom whose why will with within without would yet you your yours"
    ),
    "de": (
        "aber alle allem allen aller alles als also am an andere anderen auch auf aus bei "
        "beim bin bis bist da dabei dadurch dafür damit danach dann daran darauf darüber das "
        "dass dein dem den denn der des dessen deshalb die dies diese diesem diesen dieser "
        "dieses doch dort du durch ein eine einem einen einer eines er es etwa etwas euch "
        "euer für gegen habe haben hat hatte hatten hier hin hinter ich ihm ihn ihnen ihr "
        "ihre ihrem ihren ihrer im immer in indem ins ist ja jede jedem jeden jeder jedes "
        "jedoch jene kann kein keine keinen können konnte man mehr mein mit muss müssen nach "
        "nicht nichts noch nun nur ob oder ohne schon sehr sein seine seinem seinen seiner "
        "seit sich sie sind so sogar solche soll sollen sondern sowie über um und uns unser "
        "unter viel vom von vor war waren was weil welche wenn wer werden wie wieder will wir "
        "wird wo wobei worden wurde wurden während zu zum zur zwar zwischen"
    ),
    "fr": (
        "a ai ainsi alors après au aucun aussi autre autres aux avait avant avec avoir c car "
        "ce ceci cela celle celui ces cet cette ceux chaque comme d dans de depuis des donc "
        "dont du elle elles en encore entre est et étaient était être eu eux fait faire il "
        "ils j je l la le les leur leurs lui m mais me même mes moi moins mon n ne ni non nos "
        "notre nous on ont ou où par parce pas pendant peut plus pour pourquoi qu quand que "
        "quel quelle quelles quels qui s sa sans se sera ses si son sont sous sur t ta te tes "
        "toi ton tous tout toute toutes très tu un une vers vos votre vous y été"
    ),
    "es": (
        "a al algo algunos ante antes aquel aquella así aunque bajo bien cada casi como con "
        "contra cual cuando de del desde donde dos durante e el ella ellas ellos en entre era "
        "eran es esa esas ese eso esos esta está están estas este esto estos fue fueron ha "
        "había han hasta hay la las le les lo los más me mi mientras muy nada ni no nos "
        "nosotros o otra otras otro otros para pero poco por porque pues que qué quien se sea "
        "según ser si sí sido siempre sin sino sobre son su sus también tan tanto te tiene "
        "tienen todo todos tu un una uno unos y ya yo"
    ),
    "it": (
        "a ad agli ai al alla alle allo anche ancora avere aveva c che chi ci ciò col come "
        "con così cui da dagli dai dal dalla dalle dallo degli dei del della delle dello di "
        "dopo dove due e è ed era erano essere fra fu gli ha hanno i il in io l la le lei li "
        "lo loro lui ma me mentre mi mia mio molto ne negli nei nel nella nelle nello no noi "
        "non nostro o ogni oppure per perché però più poi prima può qual quale quali quando "
        "quanto quella quelle quelli quello questa queste questi questo se sei senza si sia "
        "siamo sono sta stato su sua sue sugli sui sul sulla sulle suo suoi tra tu tutti "
        "tutto un una uno voi"
    ),
    "pt": (
        "a à ao aos as às até cada com como da das de dela dele deles depois do dos e é ela "
        "elas ele eles em entre era eram essa esse esta está estão estas este estes eu foi "
        "foram há isso isto já lhe mais mas me mesmo meu minha muito na nas não nem no nos "
        "nós o os ou para pela pelas pelo pelos pode por porque qual quando que quem se sem "
        "ser seu seus só sob sobre sua suas também tem têm todo todos tu um uma você"
    ),
    "nl": (
        "aan al alle als altijd andere ben bij daar dan dat de der deze die dit doch doen "
        "door dus een en er ge geen had hadden heb hebben heeft hem het hier hij hoe hun ik "
        "in is ja je kan kon kunnen maar me meer men met mij mijn moet na naar niet niets nog "
        "nu of om omdat onder ons ook op over reeds te tegen toch toen tot u uit uw van veel "
        "voor want waren was wat we wel werd wie wij wil worden wordt zal ze zelf zich zij "
        "zijn zo zonder zou"
    ),
}


def stopwords(language: str | None) -> frozenset[str]:
    """Give the words of a language; of all together when it is unknown or not among them."""
    if language in STOPWORDS:
        return frozenset(STOPWORDS[language].split())
    return frozenset(word for words in STOPWORDS.values() for word in words.split())
